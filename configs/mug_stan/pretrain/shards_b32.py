# Mug-STAN, post-pretrained on shards of tar, which tools/prepare_videos.py or video2dataset writes.
_base_ = [
    '../../_base_/pretraining_runtime.py',
    '../../_base_/models/stan_pretraining_b32.py',
    '../../_base_/datasets/shards.py',
    '../../_base_/schedules/post_pretraining.py',
]

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
