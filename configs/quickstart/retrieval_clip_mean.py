# The same tower, texts, data and epochs without STAN's branch: the mean of CLIP's frames.
_base_ = './retrieval_stan.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmstan.FrameEncoder',
        tower=dict(type='mmstan.ImageTower', model=_base_.tower),
    )
)
