_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b16.py',
    '../_base_/datasets/didemo.py',
    '../_base_/schedules/retrieval_paragraphs.py',
]

model = dict(
    # 64 frames a clip: blocks are recomputed in the backward pass.
    backbone=dict(checkpointing=True),
    text_length=77,  # as released; the paper says 64
    head=dict(scale=20.0),  # temperature 0.05
)
