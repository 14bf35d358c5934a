"""The toy: its questions, its answers through the chat's own way, runs that are not repeated."""

import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.scripts import PROJECT, script
from helpers.tiny_chat import save_branch
from torch import Tensor

from mmstan.chat import VideoChat
from mmstan.chat.toy.questions import QUESTIONS, WORDS, find_answers, list_videos
from mmstan.chat.toy.run import ChatToy, format_learning, format_replacement
from mmstan.chat.toy.training import answer, score, train
from mmstan.methods.stan import STAN


@pytest.fixture(scope='module')
def data(moving_shapes: Path) -> Path:
    return moving_shapes / 'recognition'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A STAN of the quickstart's sizes with random weights."""
    sizes = dict(image_size=32, layers=4, width=64, patch_size=8, head_width=16)
    tower = dict(type='mmstan.ImageTower', model=dict(embed_dim=64, vision_cfg=sizes))
    path = tmp_path_factory.mktemp('quickstart') / 'stan.pth'
    return save_branch(path, STAN(tower, levels=(2, 3, 4)))


@pytest.fixture(scope='module')
def toy(data: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ChatToy:
    out = tmp_path_factory.mktemp('chat_toy')
    return ChatToy(str(checkpoint), data, out, steps=2, clips=(6, 4))


def test_questions_have_the_scenes_answers(data: Path) -> None:
    videos = list_videos(data, 'train', 16)
    assert find_answers(videos, 'which way')[:4] == ['left', 'right', 'up', 'down']
    assert all(word in WORDS for video in videos for word in video.answers.values())
    assert all(word in WORDS for text in QUESTIONS.values() for word in text.split())
    with pytest.raises(ValueError, match='48 videos, 60 are wanted'):
        list_videos(data, 'train', 60)


def test_a_language_model_learns_what_the_tokens_tell(toy: ChatToy) -> None:
    """Tokens that are the answer: after some steps every answer is right."""
    chat, videos = toy.load_chat(0.5, seed=0), toy.videos['train']
    colours = sorted(set(find_answers(videos, 'colour')))
    codes = torch.randn(len(colours), 1, 64) * 2
    tokens = torch.cat([codes[colours.index(x)][None] for x in find_answers(videos, 'colour')])
    tokens = tokens.expand(-1, 16, -1).contiguous()
    train(chat, tokens, videos, questions=['colour'], steps=25, seed=0)
    assert score(chat, tokens, videos, ['colour']) == {'colour': 100.0}
    assert answer(chat, tokens, 'colour', batch=4) == find_answers(videos, 'colour')


def test_runs_go_through_the_chat_and_are_not_repeated(
    toy: ChatToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    embed, complete = VideoChat.embed, VideoChat.complete

    def count_embed(self: VideoChat, ids: Tensor, tokens: Tensor) -> Tensor:
        calls['embed'] += 1
        return embed(self, ids, tokens)

    def count_complete(self: VideoChat, *args: Any, **options: Any) -> list[str]:
        calls['complete'] += 1
        return complete(self, *args, **options)

    monkeypatch.setattr(VideoChat, 'embed', count_embed)
    monkeypatch.setattr(VideoChat, 'complete', count_complete)
    figures = toy.run(0.0, 0)
    assert calls == dict(embed=2, complete=6)  # steps; three questions, twice
    assert set(figures['right']) == set(QUESTIONS)
    again = toy.run(0.0, 0)
    assert again['right'] == figures['right']
    assert calls['embed'] == 2
    # The trained engine is saved with its tower and can be asked like any other.
    folder = toy.out / 'engines' / 'w0.0_seed0'
    chat = VideoChat.from_pretrained(folder, branch_weight=0, num_frames=8, device_map=None)
    said = chat.ask(
        toy.videos['test'][0].path, QUESTIONS['colour'], temperature=0, max_new_tokens=3
    )
    assert said == figures['said']['colour'][0]


def test_a_plugged_branch_is_scored_at_each_weight(toy: ChatToy) -> None:
    rows = toy.replace(0)
    assert [(row['branch'], row['w']) for row in rows][:3] == [
        ('none', 0.0),
        ('trained for recognition', 0.25),
        ('trained for recognition', 0.5),
    ]
    assert len(rows) == 1 + 3 * 4
    assert format_replacement(rows).count('\n') == len(rows) + 1


def test_tables_have_the_median_of_the_seeds() -> None:
    right = {'which way': 10.0, 'colour': 20.0, 'shape': 30.0}
    runs = {
        (0.5, seed): {'right': {**right, 'which way': share}}
        for seed, share in enumerate((90.0, 97.5, 99.0))
    }
    table = format_learning(runs)
    assert '| w = 0.5 | median | 97.5 | 20.0 | 30.0 |' in table


def test_the_page_has_the_measured_figures() -> None:
    """With the branch nine tenths of the directions are right, without it hardly more than half."""
    measured = json.loads((PROJECT / 'docs/benchmark/chat_toy.json').read_text())
    check_medians(measured['runs'])
    page = (PROJECT / 'docs/chat.md').read_text('utf-8')
    assert format_learning({(run['w'], run['seed']): run for run in measured['runs']}) in page
    assert format_replacement(measured['replacement']) in page


def check_medians(runs: list[dict[str, Any]]) -> None:
    medians = {
        weight: statistics.median(run['right']['which way'] for run in runs if run['w'] == weight)
        for weight in (0.0, 0.5)
    }
    assert len(runs) == 6
    assert medians[0.5] >= 90
    assert medians[0.0] <= 55


@pytest.mark.slow
@pytest.mark.skipif('MMSTAN_CHAT_TOY' not in os.environ, reason='ten minutes: MMSTAN_CHAT_TOY=1')
def test_the_whole_toy() -> None:
    """``make chat-toy`` in the checkout; finished runs there are not repeated."""
    # A process of its own: configs are written in another way within tests.
    subprocess.run([sys.executable, 'tools/chat_toy.py'], cwd=PROJECT, check=True)
    results = json.loads((PROJECT / 'work_dirs/chat_toy/results.json').read_text())
    check_medians(results['runs'])


def test_the_command(
    toy: ChatToy, checkpoint: Path, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = script('chat_toy')
    monkeypatch.setattr(tool, 'generate', lambda **options: data.parent)
    monkeypatch.setattr(tool, 'ChatToy', lambda *args, **options: toy)
    out = ['--out', str(toy.out), '--seed', '0', '--steps', '2', '--checkpoint', str(checkpoint)]
    monkeypatch.setattr(sys, 'argv', ['chat_toy.py', *out])
    tool.main()
    assert '| w = 0.5 | median |' in (toy.out / 'table.md').read_text()
    assert (toy.out / 'chat.png').stat().st_size > 1000
