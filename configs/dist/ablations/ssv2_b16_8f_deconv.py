# DiST, Table 2b: deconvolution for upsampling.
_base_ = '../ssv2_b16_8f.py'

model = dict(backbone=dict(integration_to_temporal='deconv'))
