# As STAN prints it; lsmdc_b32.py has the released recipe, which differs in rate, decay and
# epochs.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b32.py',
    '../_base_/datasets/lsmdc.py',
    '../_base_/schedules/retrieval_paper.py',
]
