"""The chat on Moving Shapes: train, ask, tabulate and draw, resuming at finished runs."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmstan.chat import VideoChat
from mmstan.chat.toy.engine import save_engine
from mmstan.chat.toy.questions import QUESTIONS, list_videos
from mmstan.chat.toy.replacement import make_fresh_encoder, run_replacement
from mmstan.chat.toy.setup import encode_parts, load_toy_chat
from mmstan.chat.toy.training import answer, score, train
from mmstan.chat.video_tokens import fuse
from mmstan.visualization.dialogue import Turn, draw_dialogue
from mmstan.wording import markdown_table

WEIGHTS = (0.0, 0.5)
STEPS = 500
CLIPS = (5000, 400)  # to train, to test
LEVELS = (2, 3)  # of the quickstart's STAN, up to the second-last block


class ChatToy:
    """Runs the toy in a folder; a finished run is read from its file.

    Args:
        checkpoint: A quickstart STAN.
        data: Folder of Moving Shapes' recognition task.
        out: Folder of results.
        steps: Steps of each training.
        clips: Number of videos to train and to test on.
    """

    def __init__(
        self,
        checkpoint: str,
        data: Path,
        out: Path,
        *,
        steps: int = STEPS,
        clips: tuple[int, int] = CLIPS,
    ) -> None:
        self.checkpoint, self.out, self.steps = checkpoint, out, steps
        self.videos = {
            split: list_videos(data, split, count) for split, count in zip(('train', 'test'), clips)
        }
        content = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()[:16]
        self.made_from = f'{content} {clips} {steps}'
        out.mkdir(parents=True, exist_ok=True)

    def load_chat(self, weight: float, seed: int) -> VideoChat:
        """A dialogue model with ``seed``'s random weights."""
        folder = self.out / 'engines' / f'fresh_{seed}'
        return load_toy_chat(folder, self.checkpoint, seed=seed, weight=weight)

    def encode(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Split -> tokens of the tower and of the branch, (N, S, C) each; made once."""
        path = self.out / 'features.pth'
        if path.exists():
            known = torch.load(path, weights_only=True)
            if known['made_from'] == self.made_from:
                return known['parts']
        encoder = self.load_chat(0.5, seed=0).encoder
        parts = {split: encode_parts(encoder, videos) for split, videos in self.videos.items()}
        torch.save({'made_from': self.made_from, 'parts': parts}, path)
        return parts

    def run(self, weight: float, seed: int) -> dict[str, Any]:
        """Train and test with a weight and a seed; saves the engine; returns its figures."""
        path = self.out / f'w{weight}_seed{seed}.json'
        if (known := self._read(path)) is not None:
            return known
        parts, chat = self.encode(), self.load_chat(weight, seed)
        tokens = {split: fuse(*part, weight) for split, part in parts.items()}
        loss = train(
            chat,
            tokens['train'],
            self.videos['train'],
            questions=list(QUESTIONS),
            steps=self.steps,
            seed=seed,
        )
        right = score(chat, tokens['test'], self.videos['test'], list(QUESTIONS))
        said = {name: answer(chat, tokens['test'][:8], name) for name in QUESTIONS}
        self._save_engine(chat, weight, seed)
        return self._write(path, dict(loss=loss, right=right, said=said))

    def replace(self, seed: int) -> list[dict[str, Any]]:
        """The second half: plug branches into a dialogue model that has not known them."""
        path = self.out / f'replacement_seed{seed}.json'
        if (known := self._read(path)) is None:
            chat = self.load_chat(0.5, seed)
            branches = {
                'trained for recognition': chat.encoder,
                'fresh, levels added': make_fresh_encoder(chat, LEVELS),
                'fresh, with gates': make_fresh_encoder(
                    chat, LEVELS, class_token='own', gates=True
                ),
            }
            rows = run_replacement(
                chat,
                self.encode()['train'][0],
                self.videos['train'],
                self.videos['test'],
                branches,
                steps=self.steps,
                seed=seed,
            )
            known = self._write(path, dict(rows=rows))
        return list(known['rows'])

    def draw(self, path: Path, seed: int, *, index: int = 0) -> None:
        """Draw a test video with its three questions and the answers without and with branch."""
        said = {weight: self.run(weight, seed)['said'] for weight in WEIGHTS}
        chat, video = self.load_chat(0.5, seed), self.videos['test'][index]
        turns = [
            Turn(
                words,
                {
                    'the frames’ mean': said[0.0][name][index],
                    'with the branch': said[0.5][name][index],
                },
                truth=video.answers[name],
            )
            for name, words in QUESTIONS.items()
        ]
        draw_dialogue(path, np.stack(chat.encoder.read(video.path)), turns)

    def _save_engine(self, chat: VideoChat, weight: float, seed: int) -> None:
        """Save the trained dialogue model with its tower, for ``tools/chat.py``."""
        import transformers

        folder = self.out / 'engines' / f'fresh_{seed}'
        whole = transformers.LlavaForConditionalGeneration.from_pretrained(folder)
        state = {**whole.state_dict(), **chat.engine.model.state_dict()}
        whole.load_state_dict(state)
        save_engine(self.out / 'engines' / f'w{weight}_seed{seed}', whole, chat.engine.processor)

    def _read(self, path: Path) -> dict[str, Any] | None:
        if not path.exists():
            return None
        known = json.loads(path.read_text())
        return known if known.get('made_from') == self.made_from else None

    def _write(self, path: Path, figures: dict[str, Any]) -> dict[str, Any]:
        written = path.with_suffix('.tmp')  # renamed at the end: never half a file
        written.write_text(json.dumps({'made_from': self.made_from, **figures}, indent=1) + '\n')
        written.replace(path)
        return figures


def format_learning(runs: Mapping[tuple[float, int], Mapping[str, Any]]) -> str:
    """Markdown: share of right answers for each weight and seed, then the median over the seeds."""
    rows = []
    for weight in sorted({weight for weight, _ in runs}):
        seeds = {seed: run['right'] for (w, seed), run in runs.items() if w == weight}
        rows += [[f'w = {weight:g}', seed, *_cells(right)] for seed, right in seeds.items()]
        median = {name: statistics.median(r[name] for r in seeds.values()) for name in QUESTIONS}
        rows.append([f'w = {weight:g}', 'median', *_cells(median)])
    return markdown_table(['', 'seed', *QUESTIONS], rows, align='llrrr')


def format_replacement(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: share of right answers for each branch and weight."""
    cells = [
        [row['branch'], f'{row["w"]:g}', f'{row["colour"]:.1f}', f'{row["shape"]:.1f}']
        for row in rows
    ]
    return markdown_table(['branch', 'w', 'colour', 'shape'], cells, align='lrrr')


def _cells(right: Mapping[str, float]) -> list[str]:
    return [f'{right[name]:.1f}' for name in QUESTIONS]
