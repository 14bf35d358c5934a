# As STAN prints it; msrvtt_b16.py has the released recipe, which differs in rate, decay, batch,
# scale and epochs.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b16.py',
    '../_base_/datasets/msrvtt.py',
    '../_base_/schedules/retrieval_paper.py',
]
