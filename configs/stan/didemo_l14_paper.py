# As Mug-STAN prints it, without Mug; nothing was released for this tower and data.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_l14.py',
    '../_base_/datasets/didemo.py',
    '../_base_/schedules/retrieval_paper.py',
]

# 64 frames a clip: blocks are recomputed in the backward pass.
model = dict(backbone=dict(checkpointing=True), text_length=64)
train_dataloader = dict(batch_size=16)  # on 8 GPUs 128
