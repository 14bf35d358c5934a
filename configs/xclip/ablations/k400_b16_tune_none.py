# X-CLIP, Table 7: neither of CLIP's towers is tuned, only what is new; one view.
_base_ = '../k400_b16.py'

model = dict(backbone=dict(tower=dict(frozen=True)))
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.val_pipeline))
