# As STAN prints it; msrvtt_l14.py has the released recipe, which differs in decay and epochs.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_l14.py',
    '../_base_/datasets/msrvtt.py',
    '../_base_/schedules/retrieval_paper.py',
]
