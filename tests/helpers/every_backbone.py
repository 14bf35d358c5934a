"""A config of every backbone, with towers of a few thousand parameters."""

from typing import Any

from helpers.tiny_models import TOWER, VIT_TOWER

FROZEN = dict(TOWER, frozen=True)
T, SIZE = 4, 32  # frames of a clip, pixels of a side
EVL = dict(type='mmstan.EVL', layers=2, num_frames=T, image_size=SIZE)
DIST = dict(type='mmstan.DiST', num_frames=T // 2, width=32, temporal_width=8)
BACKBONES: dict[str, dict[str, Any]] = {
    'clip': dict(type='mmstan.FrameEncoder'),
    'stan': dict(type='mmstan.STAN', levels=(3, 4)),
    'stan with level projections': dict(
        type='mmstan.STAN', levels=(3, 4), networks=2, level_projection=True
    ),
    'stan joint': dict(type='mmstan.STAN', levels=(3, 4), cross_frame=None, intra_frame='joint'),
    'stan of cross-frame modules': dict(type='mmstan.STAN', levels=(3, 4), intra_frame='none'),
    'xclip': dict(type='mmstan.XCLIP'),
    'xclip without context': dict(type='mmstan.XCLIP', context=False),
    'st_adapter': dict(type='mmstan.STAdapter', hidden=8),
    'st_adapter before both halves': dict(
        type='mmstan.STAdapter', hidden=8, before=('attention', 'mlp'), features='clip'
    ),
    'shift': dict(type='mmstan.TemporalShift'),
    'tubes': dict(type='mmstan.TubePatches'),
    'joint space-time': dict(type='mmstan.JointSpaceTime', num_frames=T),
    'divided space-time': dict(type='mmstan.DividedSpaceTime', num_frames=T),
    'evl': EVL,
}
CASES = {
    **{
        f'{name}, {kind}': dict(cfg, tower=tower)
        for name, cfg in BACKBONES.items()
        for kind, tower in (('trained tower', TOWER), ('frozen tower', FROZEN), ('vit', VIT_TOWER))
    },
    'dist': dict(DIST, tower=FROZEN),
    'dist without one interaction': dict(DIST, tower=FROZEN, temporal_to_integration=None),
    'dist without the other': dict(DIST, tower=FROZEN, integration_to_temporal=None),
    'dist without a temporal encoder': dict(
        DIST,
        tower=FROZEN,
        temporal_block=None,
        integration_to_temporal=None,
        temporal_to_integration=None,
    ),
    'dist without an integration branch': dict(
        DIST,
        tower=FROZEN,
        integration=False,
        integration_to_temporal=None,
        temporal_to_integration=None,
    ),
}
