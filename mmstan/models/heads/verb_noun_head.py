"""Recognition of a verb and a noun (EPIC-Kitchens)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmaction.models.heads import BaseHead
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModule
from torch import Tensor

from mmstan.registry import MODELS

TASKS = ('verb', 'noun')


@MODELS.register_module()
class VerbNounHead(BaseModule):
    """A head for the V verbs and one for the N nouns, on the same features.

    The losses of the two heads are added. An action is a pair (verb, noun). Its probability is the
    product of the verb's and the noun's probability, averaged over the views of a video.

    DiST does not say how one feature gives both answers. Here the feature is compared with the
    names of the verbs and with the names of the nouns, without a learned layer in between.

    Args:
        verb: Config of a head, such as ``mmstan.TextHead``.
        noun: Config of the head for the nouns.
    """

    def __init__(self, verb: dict[str, Any], noun: dict[str, Any]) -> None:
        super().__init__()
        self.verb: BaseHead = MODELS.build(verb)
        self.noun: BaseHead = MODELS.build(noun)

    def forward(self, x: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Features of B clips -> scores of verbs (B, V) and of nouns (B, N)."""
        return self.verb(x, **kwargs), self.noun(x, **kwargs)

    def loss(
        self, feats: Any, data_samples: list[ActionDataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """``loss_verb``, ``loss_noun`` and the accuracies that the heads log, as ``verb_top1_acc``.

        Args:
            feats: Features of the clips.
            data_samples: Their ``gt_label`` is (verb, noun).
            **kwargs: Passed on by MMAction2's recognizers.
        """
        losses = {}
        for task, (name, scores) in enumerate(zip(TASKS, self(feats, **kwargs))):
            labels = [ActionDataSample().set_gt_label(s.gt_label[task]) for s in data_samples]
            for key, value in getattr(self, name).loss_by_feat(scores, labels).items():
                losses[f'loss_{name}' if key == 'loss_cls' else f'{name}_{key}'] = value
        return losses

    def predict(
        self, feats: Any, data_samples: list[ActionDataSample], **kwargs: Any
    ) -> list[ActionDataSample]:
        """Add ``pred_score`` (V, N), the actions' probabilities, and ``pred_label`` (verb, noun).

        Its sums over the nouns are the probabilities of the verbs, and the other way round.

        Args:
            feats: Features of the clips, the views of a video one after the other.
            data_samples: One a video.
            **kwargs: Passed on by MMAction2's recognizers.
        """
        verb, noun = (
            F.softmax(scores.float(), dim=-1).unflatten(0, (len(data_samples), -1))
            for scores in self(feats, **kwargs)
        )
        # p(v, n) = mean over the views s of p_s(v) p_s(n), which is not p(v) p(n) of the means.
        actions = torch.einsum('bsv,bsn->bvn', verb, noun) / verb.shape[1]  # s: views
        # Row-major: entry v * N + n is the pair (v, n).
        best = actions.flatten(1).argmax(dim=1)
        labels = torch.stack([best // noun.shape[-1], best % noun.shape[-1]], dim=1)
        for sample, score, label in zip(data_samples, actions, labels):
            sample.set_pred_score(score)
            sample.set_pred_label(label)
        return data_samples
