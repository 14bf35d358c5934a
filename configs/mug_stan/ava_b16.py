# Mug-STAN, Table IV. Mug has no weights and needs texts, which detection has not: this is STAN that
# starts from Mug-STAN's model of Kinetics-400.
_base_ = '../stan/ava_b16.py'

load_from = 'work_dirs/mug_stan/k400_b16/epoch_50.pth'
