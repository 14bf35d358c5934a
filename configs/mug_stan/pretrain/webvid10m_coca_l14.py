# On CoCa (Mug-STAN, Table VII); its text tower reads its whole context whatever text_length says.
_base_ = './webvid10m_l14.py'

tower = dict(model='coca_ViT-L-14', pretrained='laion2b_s13b_b90k')
model = dict(backbone=dict(tower=tower), text_tower=tower)
