# X-CLIP, Table 9: 16 learned vectors before the name (CoOp), which ends with a full stop as in
# CoOp; one view.
_base_ = './k400_b16_multi_frame.py'

model = dict(cls_head=dict(templates=['{}.'], context_vectors=16))
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(
                match=r'(backbone\.messages\.|neck\.|cls_head\.texts\.context_embedding)',
                lr_mult=10,
            ),
        ]
    )
)
