# ST-Adapter, 12 adapters of width 384 in a frozen tower, with its own recipe: AdamW, 12 epochs of
# which 2 warm up, the global batch is 256. Departures: norms, biases and embeddings do not decay.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/models/clip_linear_b16.py',
    '../../_base_/datasets/kinetics400_dense.py',
    '../../_base_/schedules/st_adapter.py',
]

model = dict(
    backbone=dict(
        type='mmstan.STAdapter',
        hidden=384,
        before=('mlp',),
        features='clip',
    ),
)

train_dataloader = dict(batch_size=32)
