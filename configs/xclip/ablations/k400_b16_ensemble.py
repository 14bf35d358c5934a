# X-CLIP, Table 9: hand-made templates, one at random in each step; one view.
_base_ = ['./k400_b16_multi_frame.py', '../../_base_/xclip_templates.py']

model = dict(cls_head=dict(templates=_base_.templates, sample_template=True))
