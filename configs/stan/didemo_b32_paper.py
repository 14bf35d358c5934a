# As STAN prints it; didemo_b32.py has the released recipe, which differs in decay, batch,
# scale, epochs and tokens.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b32.py',
    '../_base_/datasets/didemo.py',
    '../_base_/schedules/retrieval_paper.py',
]

model = dict(text_length=64)
train_dataloader = dict(batch_size=16)  # on 8 GPUs 128
