# On CoCa; its text tower reads its whole context whatever text_length says. As Mug-STAN prints it.
_base_ = './didemo_b32_paper.py'

model = dict(
    backbone=dict(tower=dict(model='coca_ViT-B-32', pretrained='laion2b_s13b_b90k')),
    text_tower=dict(model='coca_ViT-B-32', pretrained='laion2b_s13b_b90k'),
)
