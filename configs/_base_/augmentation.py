# What X-CLIP and DiST do to clips in training, beside crops and flips. Labels are mixed among all
# classes: a data set with another number of them says so, here are Kinetics-400's.
num_classes = 400
greyscale = dict(  # one draw for all frames
    type='TransformBroadcaster',
    mapping=dict(img='imgs'),
    auto_remap=True,
    share_random_params=True,
    transforms=[
        dict(
            type='RandomGrayscale',
            prob=0.2,
            keep_channels=True,
            channel_weights=(0.299, 0.587, 0.114),
            color_format='rgb',
        )
    ],
)
blending = dict(  # one of the two for each batch
    type='RandomBatchAugment',
    augments=[
        dict(type='MixupBlending', alpha=0.8, num_classes=num_classes),
        dict(type='CutmixBlending', alpha=1.0, num_classes=num_classes),
    ],
)
