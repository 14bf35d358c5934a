import pytest

from mmstan.engine.epoch_order import Order, Place, find_place

NOW: Order = dict(seed=1, samples=48, fingerprint='ab', global_batch=8, batches=6)
SMALLER = dict(NOW, global_batch=4, batches=12)
OLDER = {key: value for key, value in NOW.items() if key != 'global_batch'}


@pytest.mark.parametrize(
    ('epoch', 'iteration', 'seen'),
    [(1, 6, 0), (1, 8, 2), (0, 6, 6)],
    ids=['end of epoch', 'mid-epoch', 'end of epoch, not validated'],
)
def test_same_batches_go_on(epoch: int, iteration: int, seen: int) -> None:
    assert find_place(NOW, NOW, epoch=epoch, iteration=iteration) == Place(iteration, seen)
    older = {key: value for key, value in NOW.items() if key != 'fingerprint'}
    assert find_place(older, NOW, epoch=epoch, iteration=iteration) == Place(iteration, seen)


@pytest.mark.parametrize(
    ('epoch', 'iteration', 'place', 'goes_on'),
    [
        (1, 6, (12, 0), 'training goes on behind epoch 1'),
        (1, 8, (12, 0), 'epoch 2 begins again, of which 2 of 6 iterations were done'),
        (0, 5, (0, 0), 'epoch 1 begins again, of which 5 of 6 iterations were done'),
        (0, 6, (12, 12), 'training goes on behind epoch 1'),
    ],
)
def test_another_length(epoch: int, iteration: int, place: tuple[int, int], goes_on: str) -> None:
    found = find_place(NOW, SMALLER, epoch=epoch, iteration=iteration)
    assert (found.iteration, found.seen) == place
    assert found.message == (
        'an epoch has 12 iterations, and had 6 when the checkpoint was written '
        f'(global_batch 8 -> 4): {goes_on}'
    )


@pytest.mark.parametrize(('batch_size', 'world_size'), [(8, 1), (4, 2), (2, 4)])
def test_another_number_of_processes_with_the_same_global_batch_goes_on(
    batch_size: int, world_size: int
) -> None:
    """Checkpoints of before the global batch was noted have its two factors."""
    saved = dict(OLDER, batch_size=batch_size, world_size=world_size)
    assert find_place(saved, NOW, epoch=1, iteration=8) == Place(8, 2)


def test_half_the_global_batch_begins_the_epoch_again() -> None:
    """As many iterations, other batches: the schedule stays."""
    saved = dict(OLDER, batch_size=4, world_size=1)
    place = find_place(saved, NOW, epoch=1, iteration=8)
    assert (place.iteration, place.seen) == (6, 0)
    assert place.message == (
        'the batches are not those of the checkpoint (global_batch 4 -> 8): '
        'epoch 2 begins again, of which 2 of 6 iterations were done'
    )
    assert find_place(saved, NOW, epoch=1, iteration=6).iteration == 6


def test_samples_that_depend_on_the_number_of_processes_begin_the_epoch_again() -> None:
    now, saved = (dict(OLDER, batch_size=8 // w, world_size=w) for w in (1, 2))
    place = find_place(saved, now, epoch=1, iteration=8)
    assert place.message is not None
    assert '(batch_size 4 -> 8, world_size 2 -> 1): epoch 2 begins again' in place.message


@pytest.mark.parametrize('setting', ['window', 'parts', 'shuffle'])
def test_another_order_of_shards_begins_the_epoch_again(setting: str) -> None:
    saved, now = dict(NOW, **{setting: 1}), dict(NOW, **{setting: 2})
    place = find_place(saved, now, epoch=1, iteration=8)
    assert (place.iteration, place.seen) == (6, 0)
    assert place.message is not None and f'({setting} 1 -> 2): epoch 2 begins' in place.message


def test_other_samples() -> None:
    saved = dict(NOW, fingerprint='cd')
    place = find_place(saved, NOW, epoch=1, iteration=8)
    assert (place.iteration, place.seen) == (6, 0)
    assert place.message is not None and 'other samples, or the same in another' in place.message
    place = find_place(dict(saved, samples=24, batches=3), NOW, epoch=1, iteration=4)
    assert (place.iteration, place.seen) == (6, 0)
    assert place.message is not None
    assert 'had 3 when the checkpoint was written (samples 24 -> 48): ' in place.message


def test_checkpoint_of_another_loop() -> None:
    assert find_place({}, NOW, epoch=2, iteration=12) == Place(12, 0)
    place = find_place({}, NOW, epoch=2, iteration=14)
    assert (place.iteration, place.seen) == (12, 0)
    assert place.message is not None and 'does not say how long an epoch was' in place.message
