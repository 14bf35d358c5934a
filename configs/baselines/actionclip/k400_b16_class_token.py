# ActionCLIP's Transf_cls: a class token and the frames pass six blocks; the token is the video.
_base_ = './k400_b16.py'

model = dict(
    neck=dict(_delete_=True, type='mmstan.SequenceClassToken', width=512, heads=8, num_frames=8),
    cls_head=dict(interaction=None),
)
