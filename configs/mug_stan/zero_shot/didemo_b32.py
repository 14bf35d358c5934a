# Mug-STAN, post-pretrained on video-text pairs, on DiDeMo without training (Table I):
#   python tools/test.py configs/mug_stan/zero_shot/didemo_b32.py CHECKPOINT
# with a checkpoint of ../pretrain, or a released one that is converted. The paper names neither
# frames nor tokens: paragraphs of 64 tokens on 64 frames; the time table of 12 frames is stretched.
# 12 frames, as in post-pretraining:
#   --cfg-options test_dataloader.dataset.pipeline.0.sampler.num_frames=12
_base_ = [
    '../../_base_/retrieval_runtime.py',
    '../../_base_/models/stan_pretraining_b32.py',
    '../../_base_/datasets/didemo.py',
]

model = dict(
    text_length=64,
    head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')),
)
test_cfg = dict(type='mmstan.RetrievalTestLoop')
# Nothing is trained.
train_dataloader = val_dataloader = val_evaluator = None
