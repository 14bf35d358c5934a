"""Zero-shot scores on Moving Shapes: retrieval, and motions by their names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, METRICS, MODELS, init_default_scope
from torch.utils.data import DataLoader

from mmstan.compat.checkpoints import load_file
from mmstan.datasets.moving_shapes import CLASS_NAMES
from mmstan.datasets.moving_shapes.scenes import MOTIONS
from mmstan.evaluation.gallery import join_gallery, keep_fields

SETS = {'aligned': 'retrieval', 'misaligned': 'misaligned'}
"""Name in the table -> task of Moving Shapes."""
COLUMNS = {
    **{f'{name} {key}': unit for name in SETS for key, unit in
       (('R@1', '%'), ('R@5', '%'), ('MdR', 'rank'))},
    'motions': '% top-1',
}  # fmt: skip
"""Column of the table -> its unit."""


@torch.no_grad()
def score_zero_shot(config: Path, checkpoint: str) -> dict[str, float]:
    """Scores of the aligned and the misaligned test videos.

    Args:
        config: A config of ``VideoTextModel`` whose test data are those of Moving Shapes.
        checkpoint: Weights with the names of its model; all of them must be there.

    Returns:
        The :data:`COLUMNS`: text to video, and the share of aligned videos that are most similar to
        the name of their motion among the eight names.
    """
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(load_file(checkpoint)['state_dict'])
    scores = {}
    for name, task in SETS.items():
        folder = Path(cfg.data_root).with_name(task)
        results = _encode(model, cfg.test_dataloader, folder)
        metric = METRICS.build(cfg.test_evaluator)
        metric.use_model(model)
        metric.process({}, results)
        found = metric.evaluate(len(results))
        for key in ('R1', 'R5', 'MdR'):
            scores[f'{name} {key.replace("R1", "R@1").replace("R5", "R@5")}'] = found[
                f'retrieval/t2v/{key}'
            ]
        if name == 'aligned':
            scores['motions'] = _score_motions(model, results, folder)
    return {column: scores[column] for column in COLUMNS}


def _encode(model: Any, loader: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Data samples with features, as dictionaries, of the test videos in ``folder``."""
    files = dict(ann_file=str(folder / 'test.json'), data_prefix=dict(video=str(folder)))
    dataset = DATASETS.build({**loader['dataset'], **files})
    results = []
    for batch in DataLoader(dataset, loader['batch_size'], collate_fn=pseudo_collate):
        results += [sample.to_dict() for sample in model.test_step(batch)]
    return results


def _score_motions(model: Any, results: list[dict[str, Any]], folder: Path) -> float:
    """Per cent of the videos that are most similar to the name of their motion."""
    scenes = json.loads((folder / 'test_scenes.json').read_text('utf-8'))
    truth = [MOTIONS.index(scenes[_name(sample, folder)][0]['motion']) for sample in results]
    video = join_gallery([keep_fields(sample) for sample in results]).video
    similarity = model.similarity(model.encode_texts(list(CLASS_NAMES)), video)  # (8, N)
    return 100 * float((similarity.argmax(0) == torch.tensor(truth)).float().mean())


def _name(sample: dict[str, Any], folder: Path) -> str:
    return Path(sample['filename']).relative_to(folder).as_posix()
