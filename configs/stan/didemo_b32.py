_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b32.py',
    '../_base_/datasets/didemo.py',
    '../_base_/schedules/retrieval_paragraphs.py',
]

model = dict(
    text_length=77,  # as released; the paper says 64
    head=dict(scale=20.0),  # temperature 0.05
)
