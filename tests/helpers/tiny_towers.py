"""Configs of towers of a few thousand parameters."""

SMALL = dict(
    embed_dim=16,
    vision_cfg=dict(image_size=32, patch_size=8, width=32, layers=4, head_width=16),
    text_cfg=dict(context_length=12, vocab_size=64, width=24, heads=2, layers=2),
)
COCA = dict(
    SMALL,
    vision_cfg=dict(
        SMALL['vision_cfg'], attentional_pool=True, attn_pooler_queries=5, attn_pooler_heads=2
    ),
)
TOWER = dict(type='mmstan.ImageTower', model=SMALL)
COCA_TOWER = dict(type='mmstan.ImageTower', model=COCA)
VIT_TOWER = dict(
    type='mmstan.MMPretrainImageTower',
    vit=dict(
        arch=dict(embed_dims=32, num_layers=4, num_heads=2, feedforward_channels=64),
        img_size=32,
        patch_size=8,
        out_type='cls_token',
    ),
)
