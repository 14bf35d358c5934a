# ActivityNet is not in the papers: DiDeMo's recipe.
_base_ = [
    '../_base_/retrieval_runtime.py',
    '../_base_/models/stan_retrieval_b32.py',
    '../_base_/datasets/activitynet.py',
    '../_base_/schedules/retrieval_paragraphs.py',
]

model = dict(
    text_length=77,
    head=dict(scale=20.0),  # temperature 0.05
)
