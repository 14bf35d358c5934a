# ST-Adapter's structure for retrieval, with STAN's recipe (STAN, Table 7). The paper does not say
# where its adapters stand and whether CLIP learns: 12 before the MLPs, and it does.
_base_ = [
    '../../_base_/retrieval_runtime.py',
    '../../_base_/models/clip_mean_retrieval_b32.py',
    '../../_base_/datasets/msrvtt.py',
    '../../_base_/schedules/retrieval.py',
]

model = dict(backbone=dict(type='mmstan.STAdapter'))
find_unused_parameters = True  # distributed training waits for frozen parameters otherwise
# As STAN's branch, the adapters learn ten times faster.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.|text_tower\.'),
            dict(match=r'backbone\.adapters\.mlp\.(?!11\.)', lr_mult=10),
            # Nothing reads the patches behind the last adapter.
            dict(match=r'backbone\.adapters\.mlp\.11\.', frozen=True),
        ]
    )
)
