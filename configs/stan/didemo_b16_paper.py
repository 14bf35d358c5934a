# As STAN prints it; didemo_b16.py has the released recipe, which differs in decay, batch,
# scale, epochs and tokens.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b16.py',
    '../_base_/datasets/didemo.py',
    '../_base_/schedules/retrieval_paper.py',
]

# 64 frames a clip: blocks are recomputed in the backward pass.
model = dict(backbone=dict(checkpointing=True), text_length=64)
train_dataloader = dict(batch_size=16)  # on 8 GPUs 128
