# Mug-STAN, post-pretrained on video-text pairs, on MSR-VTT without training (Table I):
#   python tools/test.py configs/mug_stan/zero_shot/msrvtt_b32.py CHECKPOINT
# with a checkpoint of ../pretrain, or a released one that is converted. The paper names neither
# frames nor tokens: captions of 32 tokens on 12 frames.
_base_ = [
    '../../_base_/retrieval_runtime.py',
    '../../_base_/models/stan_pretraining_b32.py',
    '../../_base_/datasets/msrvtt.py',
]

model = dict(
    text_length=32,
    head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')),
)
test_cfg = dict(type='mmstan.RetrievalTestLoop')
# Nothing is trained.
train_dataloader = val_dataloader = val_evaluator = None
