import pytest
import torch

from mmstan.evaluation import (
    MatrixBlocks,
    dual_softmax,
    qb_norm,
    text_to_video_ranks,
    video_to_text_ranks,
)

S = torch.tensor([[0.30, 0.28, 0.10], [0.32, 0.31, 0.05], [0.33, 0.20, 0.29]])
BANK = torch.tensor([[0.40, 0.10, 0.20], [0.35, 0.30, 0.05]])
DIS = torch.tensor(
    [
        [0.098938, 0.658264, 0.128917],
        [0.147598, 1.199434, 0.047426],
        [0.180277, 0.132901, 5.762738],
    ],
    dtype=torch.float64,
)
DSL_T2V = torch.tensor(
    [[1.053571, 1.327903, 0], [8.303887, 29.529328, 0], [23.277689, 0.000318, 29.0]]
)
DSL_V2T = torch.tensor(
    [[26.423912, 3.337682, 0], [23.393875, 8.337184, 0], [32.406383, 0.000044, 0.521599]]
)


def whole(blocks) -> torch.Tensor:
    return torch.cat([block for _, block in blocks])


@pytest.mark.parametrize('rows', [1, 2, 3])
@pytest.mark.parametrize(('direction', 'expected'), [('t2v', DSL_T2V), ('v2t', DSL_V2T)])
def test_dual_softmax(direction: str, expected: torch.Tensor, rows: int):
    found = whole(dual_softmax(MatrixBlocks(S, rows=rows), direction, logit_scale=100))
    torch.testing.assert_close(found.float(), expected, atol=1e-4, rtol=1e-6)


def test_each_direction_of_dual_softmax_changes_its_ranks():
    generator = torch.Generator().manual_seed(0)
    scores = 0.2 + 0.1 * torch.rand(200, 200, generator=generator)
    # Some texts and some videos are close to everything.
    scores += 0.1 * torch.rand(200, generator=generator)
    scores += 0.1 * torch.rand(200, 1, generator=generator)
    blocks, owners = MatrixBlocks(scores), torch.arange(200)
    t2v, v2t = (dual_softmax(blocks, direction, logit_scale=100) for direction in ('t2v', 'v2t'))
    plain = text_to_video_ranks(blocks, owners), video_to_text_ranks(blocks, owners).caption
    changed = text_to_video_ranks(t2v, owners), video_to_text_ranks(v2t, owners).caption
    assert [(a != b).sum().item() > 100 for a, b in zip(plain, changed)] == [True, True]
    # The wrong axis is what does not change: s * softmax(s) is monotone along its own softmax.
    torch.testing.assert_close(video_to_text_ranks(t2v, owners).caption, plain[1])
    torch.testing.assert_close(text_to_video_ranks(v2t, owners), plain[0])


@pytest.mark.parametrize('direction', ['t2v', 'v2t'])
def test_dual_softmax_of_scaled_cosines_has_no_zeros_and_no_ties(direction: str):
    scores = torch.linspace(-1, 1, 400)[torch.randperm(400)].view(20, 20)
    found = whole(dual_softmax(MatrixBlocks(scores), direction, logit_scale=100))
    single = 100 * scores * (100 * scores).softmax(0 if direction == 't2v' else 1)
    assert (single == 0).any()  # float32 does underflow
    assert (found != 0).all() and found.unique().numel() == 400
    # Positive ones by log L + log softmax(L).
    logits = 100 * scores.double()
    order = logits.log() + logits.log_softmax(0 if direction == 't2v' else 1)
    positive = scores > 0
    assert found[positive].argsort().equal(order[positive].argsort())


@pytest.mark.parametrize('rows', [1, 2, 3])
def test_qb_norm(rows: int):
    blocks = MatrixBlocks(S, rows=rows)
    found = whole(qb_norm(blocks, MatrixBlocks(BANK, rows=rows), 't2v'))
    torch.testing.assert_close(found.exp(), DIS, atol=1e-6, rtol=1e-5)
    assert found.argmax(1).tolist() == [1, 1, 2]
    by_video = qb_norm(MatrixBlocks(S.T, rows=rows), MatrixBlocks(BANK.T, rows=rows), 'v2t')
    assert whole(by_video).T.equal(found)


@pytest.mark.parametrize('direction', ['t2v', 'v2t'])
def test_queries_outside_the_activation_set_stay(direction: str):
    scores = S.clone()
    scores[1, 0] = 0.10  # the best is now video 1, which no bank query has for its best
    turned = (scores, BANK) if direction == 't2v' else (scores.T, BANK.T)
    before = turned[0].clone()
    found = whole(qb_norm(*map(MatrixBlocks, turned), direction))
    assert turned[0].equal(before)
    found = found if direction == 't2v' else found.T
    assert found[1].float().equal(scores[1])
    torch.testing.assert_close(found[[0, 2]].exp(), DIS[[0, 2]], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('direction', ['t2v', 'v2t'])
@pytest.mark.parametrize('rows', [1, 2, 3])
def test_more_candidates_are_activated_by_a_larger_k(direction: str, rows: int):
    # By one candidate a bank query, 0 and 1 are activated; by two, all three.
    scores, bank = torch.eye(3), torch.tensor([[0.9, 0.1, 0.4], [0.1, 0.9, 0.4]])
    turned = [scores, bank] if direction == 't2v' else [scores.T, bank.T]
    for k, raw in ((1, [False, False, True]), (2, [False] * 3), (50, [False] * 3)):
        found = whole(qb_norm(*(MatrixBlocks(x, rows=rows) for x in turned), direction, k=k))
        found = found if direction == 't2v' else found.T
        assert (found == scores).all(1).tolist() == raw


@pytest.mark.parametrize('normalise', ['dsl', 'qb_norm'])
@pytest.mark.parametrize('direction', ['t2v', 'v2t'])
def test_logits_of_scale_100_do_not_overflow(direction: str, normalise: str):
    if normalise == 'dsl':
        found = whole(dual_softmax(MatrixBlocks(100 * S), direction, logit_scale=1))
        cosines = whole(dual_softmax(MatrixBlocks(S), direction, logit_scale=100))
        torch.testing.assert_close(found, cosines, atol=1e-4, rtol=1e-4)
    else:
        turned = (S, BANK) if direction == 't2v' else (S.T, BANK.T)
        scores, bank = (MatrixBlocks(100 * x) for x in turned)
        found = whole(qb_norm(scores, bank, direction, beta=20))
        assert (found != scores.scores).all()
    assert found.isfinite().all()


@pytest.mark.parametrize('direction', ['t2v', 'v2t'])
def test_nan_spoils_only_its_own_pair(direction: str):
    scores, bank = torch.rand(4, 4), torch.rand(4, 4)
    scores[1, 2] = bank[3, 0] = torch.nan
    blocks, others = MatrixBlocks(scores), MatrixBlocks(bank)
    for changed in (
        dual_softmax(blocks, direction, logit_scale=100),
        qb_norm(blocks, others, direction),
    ):
        assert whole(changed).isnan().equal(scores.isnan())


def test_half_precision_is_normalised_in_more():
    half = S.half()
    found = whole(dual_softmax(MatrixBlocks(half), 't2v', logit_scale=100))
    assert found.equal(whole(dual_softmax(MatrixBlocks(half.float()), 't2v', logit_scale=100)))
