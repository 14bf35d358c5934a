"""MMAction2's own retrieval config with our model, through MMAction2's own tools."""

from pathlib import Path

import pytest
from helpers.whole_runs import STOCK, run_stock, scalars

pytestmark = pytest.mark.slow

STOCK_WITH_OURS = """
_base_ = [{base!r}]
custom_imports = dict(imports=['mmstan'], allow_failed_imports=False)
tower = dict(
    embed_dim=16,
    quick_gelu=True,
    vision_cfg=dict(image_size=224, patch_size=32, width=32, layers=3, head_width=16),
    text_cfg=dict(width=32, heads=2, layers=1),
)
model = dict(
    _delete_=True,
    type='mmstan.VideoTextModel',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=dict(
        type='mmstan.STAN', tower=dict(type='mmstan.ImageTower', model=tower), levels=(2, 3)
    ),
    text_tower=dict(type='mmstan.TextTower', model=tower),
    head=dict(type='mmstan.RetrievalHead', interaction=dict(type='mmstan.Mug')),
)
pipelines = dict(train=_base_.train_pipeline, val=_base_.val_pipeline)
for pipeline in pipelines.values():
    pipeline[pipeline.index(dict(type='CLIPTokenize'))] = dict(
        type='mmstan.Tokenize', model='ViT-B-32'
    )
small = dict(batch_size=4, num_workers=0, persistent_workers=False)
where = dict(data_root='{data}', data_prefix=dict(video=''))
train_dataloader = dict(
    dataset=dict(ann_file='train.json', pipeline=pipelines['train'], **where), **small
)
val_dataloader = dict(
    dataset=dict(ann_file='test.json', pipeline=pipelines['val'], **where), **small
)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
"""


def test_stock_clip4clip_config_and_stock_tools(
    moving_shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = moving_shapes / 'retrieval'
    (stock,) = (STOCK / 'configs/retrieval/clip4clip').glob('*.py')
    config = tmp_path / 'ours.py'
    text = STOCK_WITH_OURS.replace('{base!r}', repr(str(stock)))
    config.write_text(text.replace('{data}', str(data)))
    work_dir = tmp_path / 'train'
    run_stock('train', config, '--work-dir', work_dir, monkeypatch=monkeypatch)
    logged = scalars(work_dir)
    assert any(line.get('loss_t2v', 0) > 0 and line.get('loss_v2t', 0) > 0 for line in logged)
    assert any('retrieval/R1' in line for line in logged)
    tested = tmp_path / 'test'
    run_stock(
        'test', config, work_dir / 'epoch_1.pth', '--work-dir', tested, monkeypatch=monkeypatch
    )
    assert any('retrieval/MdR' in path.read_text('utf-8') for path in tested.glob('*/*.log'))
