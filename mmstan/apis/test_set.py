"""The test set of a retrieval config, encoded once."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader
from tqdm import tqdm

from mmstan.apis.inputs import to_frames
from mmstan.apis.load import build_runner, load_weights
from mmstan.compat.closed import read_file
from mmstan.config.checks import check_config
from mmstan.config.walk import walk
from mmstan.evaluation import ScoreBlocks
from mmstan.evaluation.gallery import Gallery, Result, drop_broken, join_gallery, keep_fields
from mmstan.models.features import TextFeatures, VideoFeatures


class TestSet:
    """The test set of a config, encoded by its model, or read from the cache in the work dir."""

    __test__ = False  # pytest would collect every Test* class

    def __init__(self, cfg: Config, *, cache: bool = True) -> None:
        check_config(cfg, splits=('test',))
        self.model: Any = build_runner(cfg).model.eval()
        if not hasattr(self.model, 'similarity'):
            raise ValueError(
                f'{cfg.filename}: {type(self.model).__name__} has no similarity of texts and '
                "videos; take a config whose model is an 'mmstan.VideoTextModel'"
            )
        load_weights(self.model, cfg)
        loader = Runner.build_dataloader(cfg.test_dataloader)
        self.dataset: Any = loader.dataset
        file, made_from = Path(cfg.work_dir, 'features.pth'), fingerprint(cfg, self.dataset)
        known = read_cache(file) if cache else {}
        if known.get('made_from') != made_from:
            known = dict(self._encode(loader), made_from=made_from)
            # Written under another name, then renamed: never half a cache.
            torch.save(known, file.with_suffix('.tmp'))
            file.with_suffix('.tmp').replace(file)
        self.numbers, self.names = known['numbers'], known['names']
        self.captions = known['captions']
        text, video = TextFeatures(*known['text']), VideoFeatures(*known['video'])
        self.gallery = Gallery(text, video, known['owners'])

    @torch.no_grad()
    def _encode(self, loader: DataLoader) -> dict[str, Any]:
        """Encode the readable videos and captions; the types load without running code."""
        results: list[Result] = []
        for batch in tqdm(loader, desc='encoding', disable=None):
            results += [keep_fields(sample.to_dict()) for sample in self.model.test_step(batch)]
        # Places in the data set, before broken videos are dropped.
        results = [dict(result, number=i) for i, result in enumerate(results)]
        results, _ = drop_broken(results, what='the features')
        gallery = join_gallery(results)
        return dict(
            numbers=[result['number'] for result in results],
            names=[str(result['video_id']) for result in results],
            captions=[caption for result in results for caption in result['captions']],
            text=tuple(gallery.text),
            video=tuple(gallery.video),
            owners=gallery.owners,
        )

    def caption(self, index: int) -> tuple[str, int]:
        """A caption and the index of its video."""
        if not 0 <= index < len(self.captions):
            raise ValueError(f'caption {index} must be 0 to {len(self.captions) - 1}')
        return self.captions[index], int(self.gallery.owners[index])

    def scores(self, text: TextFeatures) -> ScoreBlocks:
        """Similarities (A, B) of A texts with all B videos, in blocks of rows."""
        device = next(self.model.parameters()).device
        return ScoreBlocks(self.model.similarity, text, self.gallery.video, device=device)

    def frames(self, video: int, *, most: int | None = None) -> np.ndarray:
        """Real frames of a video (T, H, W, 3), uint8 RGB; at most ``most``, evenly spread."""
        frames = to_frames(self.dataset[self.numbers[video]])
        if most is None or len(frames) <= most:
            return frames
        return frames[np.linspace(0, len(frames) - 1, most).astype(int)]


def read_cache(file: Path) -> dict[str, Any]:
    """Read the features that a test set saved; ``{}`` without a file, or with a damaged one.

    A warning reports a damaged file.
    """
    if not file.exists():
        return {}
    try:
        known = read_file(file)
        text, video = TextFeatures(*known['text']), VideoFeatures(*known['video'])
        captions = {len(known['captions']), len(known['owners']), *map(len, text)}
        videos = {len(known['names']), len(known['numbers']), len(video.frames), len(video.mask)}
        # Each set has one number if all parts agree.
        if len(captions) + len(videos) > 2:
            raise ValueError(f'{captions} captions and {videos} videos')
    except Exception as error:  # a damaged file may hold anything
        reason = ' '.join(str(error).split())
        reason = reason if str(file) in reason else f'{file} holds no features ({reason})'
        print_log(f'{reason}: the features are made again', 'current', logging.WARNING)
        return {}
    return known


def fingerprint(cfg: Config, dataset: Any) -> str:
    """Hash of all that features depend on: config, dates of the files of weights, samples."""
    named = [node.get(key) for node in walk(cfg.model) for key in ('pretrained', 'checkpoint')]
    files = [Path(name).expanduser() for name in (cfg.load_from, *named) if isinstance(name, str)]
    dates = [file.stat().st_mtime_ns for file in files if file.is_file()]
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    return hashlib.sha256(repr((cfg.pretty_text, dates, samples)).encode()).hexdigest()
