# On CoCa; its text tower reads its whole context whatever text_length says.
_base_ = './msrvtt_b32.py'

model = dict(
    backbone=dict(tower=dict(model='coca_ViT-B-32', pretrained='laion2b_s13b_b90k')),
    text_tower=dict(model='coca_ViT-B-32', pretrained='laion2b_s13b_b90k'),
)
