"""DRL's token-wise interactions, from the released state dict through the converter."""

from typing import Any

from parity.systems import clip4clip_seqlstm, clip4clip_seqtransf
from parity.systems.clip4clip_meanp import head, samples, towers
from torch import Tensor

from mmstan.methods.drl import ChannelDecorrelation
from mmstan.methods.drl import checkpoints as drl
from mmstan.models import VideoTextModel

# DRL's agg_module -> the neck; the first two leave the frames as they are.
NECKS: dict[str, Any] = {
    'None': None,
    'meanP': None,
    'seqTransf': clip4clip_seqtransf.neck,
    'seqLSTM': clip4clip_seqlstm.neck,
}


def build(meta: dict[str, Any], state: dict[str, Tensor]) -> VideoTextModel:
    """The model of the case's sizes, with its weights, strictly loaded."""
    interaction: dict[str, Any] = dict(type='mmstan.TokenWise')
    if meta['interaction'] == 'wti':
        layers = meta['wti_arch']
        interaction = dict(
            type='mmstan.WeightedTokenWise', dim=meta['projection_dim'], layers=layers
        )
    of_frames = NECKS[meta['agg_module']]
    if of_frames is not None:
        of_frames = of_frames(meta)
    model = VideoTextModel(**towers(meta), head=head(interaction), neck=of_frames).eval()
    model.load_state_dict(drl.from_released(state))
    return model


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    model = build(meta, state)
    text = model.text_tower(io['token_ids'])
    assert text.mask.equal(io['text_mask'].bool())
    video = model.encode_videos(io['video'], data_samples=samples(io))
    out = {
        'frame_features': model.backbone(io['video']),
        'token_features': text.tokens,
        'sim': model.similarity(text, video),
    }
    if model.neck is not None:
        out['temporal_features'] = video.frames
    if meta['interaction'] == 'wti':
        out['text_weights'] = model.head.interaction.text_weights(text)
        out['video_weights'] = model.head.interaction.video_weights(video)
    if meta['texts'] == meta['videos']:
        out['logits.train'] = model.head.logits(text, video)
        out['loss.contrastive'] = sum(model.head.loss(text, video).values())
        for mode, pairs in ((2, 'partners'), (3, 'weighted')):
            if pairs == 'partners' or meta['interaction'] == 'wti':
                cdcr = ChannelDecorrelation(pairs=pairs, weight=1.0, **meta['cdcr'])
                out[f'loss.cdcr_mode{mode}'] = cdcr(model.head.interaction, text, video)
    return out
