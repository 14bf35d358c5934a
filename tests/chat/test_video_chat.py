"""Questions about videos: the same as plain LLaVA on an image, batched, streamed, in turns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.devices import on_devices
from helpers.tiny_chat import (
    GREEDY,
    QUESTION,
    make_branch,
    make_frames,
    save_branch,
    save_tiny_engine,
)
from mmengine.logging import MMLogger
from torch import Tensor

from mmstan.chat import VideoChat
from mmstan.chat.encoder import VideoEncoder
from mmstan.chat.prompts import list_messages, tokenize
from mmstan.datasets.readers import BrokenVideoError


def ids_of(chat: VideoChat, tokens: Tensor) -> Tensor:
    return tokenize(chat.engine.processor, [list_messages([QUESTION], [])], tokens.shape[1])


def logits_of(chat: VideoChat, tokens: Tensor) -> Tensor:
    embeddings = chat.embed(ids_of(chat, tokens), tokens)
    with torch.no_grad():
        return chat.engine.model(inputs_embeds=embeddings).logits


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5 * theirs.abs().max().item(), rtol=0)


@pytest.mark.parametrize(
    ('layer', 'strategy'),
    [(-1, 'default'), (-2, 'default'), (-2, 'full'), (-3, 'full'), (3, 'default')],
)
def test_one_frame_without_the_branch_is_plain_llava(
    tmp_path: Path, layer: int, strategy: str
) -> None:
    # Not at the top: `make gpu` collects this file where transformers is missing.
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    folder = save_tiny_engine(tmp_path, feature_layer=layer, strategy=strategy)
    model = LlavaForConditionalGeneration.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    text = processor.apply_chat_template(list_messages([QUESTION], []), add_generation_prompt=True)
    frame = make_frames(1)
    inputs = processor(images=list(frame), text=text, return_tensors='pt')
    if strategy == 'full':  # the processor of the tiny engine counts patches alone
        count = 17
        text = text.replace('<image>', '<image>' * count)
        inputs['input_ids'] = processor.tokenizer(text, return_tensors='pt')['input_ids']
        inputs['attention_mask'] = torch.ones_like(inputs['input_ids'])
    with torch.no_grad():
        theirs = model(**inputs).logits
        said = model.generate(**inputs, max_new_tokens=6, do_sample=False)
    new = said[:, inputs['input_ids'].shape[1] :]
    assert theirs.abs().max() > 0.5
    for t in (1, 4):  # four times the same frame, too
        chat = VideoChat.from_pretrained(folder, branch_weight=0, num_frames=t, device_map=None)
        tokens = chat.encode(frame.repeat(t, axis=0))
        assert torch.equal(ids_of(chat, tokens), inputs['input_ids'])
        close(logits_of(chat, tokens), theirs)
        answer = chat.ask(frame, QUESTION, **GREEDY)
        assert answer == processor.tokenizer.batch_decode(new, skip_special_tokens=True)[0].strip()


def test_the_branch_reaches_the_logits_and_hears_the_order(chat: VideoChat) -> None:
    frames = make_frames(4)
    with_branch, without = chat.encode(frames), chat.encode(frames, branch_weight=0)
    assert with_branch.shape == without.shape == (1, 16, 64)
    assert (logits_of(chat, with_branch) - logits_of(chat, without)).abs().max() > 0.05
    back = frames[::-1].copy()
    assert (chat.encode(back) - with_branch).abs().max() > 0.05
    close(chat.encode(back, branch_weight=0), without)  # the mean knows no order


def test_a_fresh_branch_without_times_sees_copies_of_a_frame_as_one(
    engine: Path, tmp_path: Path
) -> None:
    backbone = make_branch()
    with torch.no_grad():
        backbone.branches[0].time_embedding.zero_()
        for layer in backbone.branches[0].layers:
            layer.cross_frame.temporal_fc.weight.zero_()
            layer.cross_frame.temporal_fc.bias.zero_()
    file = save_branch(tmp_path / 'fresh.pth', backbone)
    frame, logits = make_frames(1), []
    for t in (1, 4):
        chat = VideoChat.from_pretrained(engine, file, num_frames=t)
        logits.append(logits_of(chat, chat.encode(frame.repeat(t, axis=0))))
    close(*logits)


def test_batched_as_single(chat: VideoChat) -> None:
    videos = [make_frames(4, seed=seed) for seed in range(3)]
    questions = [QUESTION, 'which way ?', 'what colour is the red blue it a ?']
    pairs = list(zip(videos, questions))
    single = [chat.ask(*pair, **GREEDY) for pair in pairs]
    assert len(set(single)) > 1
    assert chat.ask_many(pairs, batch=2, **GREEDY) == single
    assert chat.ask_many(pairs, batch=8, **GREEDY) == single
    # A short prompt is padded on the left: its logits are as without padding.
    ids = tokenize(chat.engine.processor, [list_messages([text], []) for text in questions[1:]], 16)
    assert (ids[0] == 0).sum() == 6
    assert (ids[1] == 0).sum() == 0


def test_a_video_of_several_questions_is_encoded_once(
    chat: VideoChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, seen = chat.encode, []

    def count(video: Any, **options: Any) -> Tensor:
        seen.append(video)
        return encode(video, **options)

    monkeypatch.setattr(chat, 'encode', count)
    video = make_frames(4)
    chat.ask_many([(video, QUESTION)] * 3, batch=2, **GREEDY)
    assert len(seen) == 1
    talk = chat.start(video)
    for _ in range(3):
        talk.ask(QUESTION, **GREEDY)
    assert len(seen) == 2


def test_streamed_as_returned(chat: VideoChat) -> None:
    video = make_frames(4)
    pieces = list(chat.stream(video, QUESTION, **GREEDY))
    assert len(pieces) > 1
    assert ''.join(pieces) == chat.ask(video, QUESTION, **GREEDY)
    sampled = dict(temperature=3.0, max_new_tokens=12)
    streams = [''.join(chat.stream(video, QUESTION, seed=3, **sampled)) for _ in range(2)]
    assert streams[0] == streams[1] == chat.ask(video, QUESTION, seed=3, **sampled)


def test_an_error_within_a_stream_is_raised_and_a_reader_may_stop(chat: VideoChat) -> None:
    with pytest.raises(ValueError, match='no_such_option'):
        list(chat.stream(make_frames(4), QUESTION, no_such_option=1, **GREEDY))
    talk = chat.start(make_frames(4))
    stream: Iterator[str] = talk.stream(QUESTION, temperature=0, max_new_tokens=150)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert talk.messages == []  # a turn counts once it is whole


def test_two_turns_are_one_prompt(chat: VideoChat) -> None:
    video = make_frames(4)
    talk = chat.start(video)
    first = talk.ask(QUESTION, **GREEDY)
    second = ''.join(talk.stream('which way ?', **GREEDY))
    assert [message['role'] for message in talk.messages] == ['user', 'assistant'] * 2
    assert [part['type'] for part in talk.messages[0]['content']] == ['image', 'text']
    assert [part['type'] for part in talk.messages[2]['content']] == ['text']
    whole = chat.complete(
        chat.encode(video), [list_messages([QUESTION, 'which way ?'], [first])], **GREEDY
    )
    assert whole == [second]


def test_greedy_repeats_and_a_seed_too(chat: VideoChat) -> None:
    video = make_frames(4)
    assert chat.ask(video, QUESTION, **GREEDY) == chat.ask(video, QUESTION, **GREEDY)
    sampled = dict(temperature=5.0, max_new_tokens=12)
    before = torch.get_rng_state()
    same = [chat.ask(video, QUESTION, seed=1, **sampled) for _ in range(2)]
    assert same[0] == same[1] != chat.ask(video, QUESTION, seed=2, **sampled)
    assert torch.equal(torch.get_rng_state(), before)


def test_frames_one_after_another(engine: Path, branch: Path) -> None:
    chat = VideoChat.from_pretrained(
        engine, branch, num_frames=3, pool='frames', class_token='last'
    )
    tokens = chat.encode(make_frames(3))
    assert tokens.shape == (1, 3 * 17, 64)
    assert chat.encoder.count == 51
    assert chat.ask(make_frames(3), QUESTION, **GREEDY)
    message = (
        r'^59 tokens of the prompt and max_new_tokens=200 are more than the 256 positions of the '
        r"engine; give max_new_tokens=197 or less, or num_frames=2: so many fit with pool='frames'$"
    )
    with pytest.raises(ValueError, match=message):
        chat.ask(make_frames(3), QUESTION, temperature=0, max_new_tokens=200)
    with pytest.raises(ValueError, match=r'of the engine; give num_frames=\d+: so many fit'):
        chat.ask(make_frames(3), 'which way ? ' * 70, temperature=0, max_new_tokens=8)


def test_more_tokens_than_positions(chat: VideoChat) -> None:
    with pytest.raises(
        ValueError, match=r'256 positions of the engine; give max_new_tokens=\d+ or'
    ):
        chat.ask(make_frames(4), QUESTION)  # 1024 new tokens are the default
    with pytest.raises(ValueError, match=r'256 positions .*; ask less at once'):
        chat.ask(make_frames(4), 'which way ? ' * 100, **GREEDY)


def test_a_question_with_an_image_token(chat: VideoChat) -> None:
    with pytest.raises(ValueError, match=r"has 32 image tokens, the video 16: .* '<image>'"):
        chat.ask(make_frames(4), 'what is <image> ?', **GREEDY)


def test_branch_and_weight_go_together(
    engine: Path, branch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The error comes before the engine's weights.
    monkeypatch.setattr('mmstan.chat.video_chat.load_engine', None)
    with pytest.raises(ValueError, match=r'branch_weight=0\.5, but there is no branch'):
        VideoChat.from_pretrained(engine)
    with pytest.raises(ValueError, match='branch_weight=2'):
        VideoChat.from_pretrained(engine, branch, branch_weight=2)


def test_more_frames_than_the_time_table_has(engine: Path, branch: Path) -> None:
    with pytest.raises(ValueError, match='65 frames, but max_frames=64; sample fewer'):
        VideoChat.from_pretrained(engine, branch, num_frames=65)


def test_videos_that_cannot_be_read(chat: VideoChat, tmp_path: Path) -> None:
    with pytest.raises(BrokenVideoError, match=r'no\.mp4'):
        chat.ask(tmp_path / 'no.mp4', QUESTION)
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    with pytest.raises(BrokenVideoError, match=r'broken\.mp4'):
        chat.ask(tmp_path / 'broken.mp4', QUESTION)
    with pytest.raises(ValueError, match=r'expected frames \(T, H, W, 3\), uint8 RGB'):
        chat.ask(np.zeros((0, 8, 8, 3), np.uint8), QUESTION)


def test_fewer_frames_than_asked_for_are_repeated_and_told(
    chat: VideoChat, capsys: pytest.CaptureFixture[str]
) -> None:
    MMLogger.get_instance('chat', log_level='INFO')
    frames = make_frames(2)
    assert torch.equal(chat.encode(frames), chat.encode(frames.repeat(2, axis=0)))
    assert 'array (2, 40, 48, 3) has 2 frames, 4 are read' in ''.join(capsys.readouterr())


def test_pixels_are_the_engine_s_own(chat: VideoChat) -> None:
    frames, seen = make_frames(4), {}

    def look(clip: Tensor) -> tuple[Tensor, Tensor]:
        seen['clip'] = clip
        return parts(clip)

    parts = chat.encoder.backbone.parts
    chat.encoder.backbone.parts = look
    try:
        chat.encode(frames)
    finally:
        del chat.encoder.backbone.parts
    images = chat.engine.processor.image_processor(images=list(frames), return_tensors='pt')
    assert torch.equal(seen['clip'][0].transpose(0, 1), images['pixel_values'])


def test_the_engine_s_own_tower_is_gone(chat: VideoChat) -> None:
    assert chat.engine.model.model.vision_tower is None
    assert isinstance(chat.encoder, VideoEncoder)
    assert all(not p.requires_grad for p in chat.encoder.backbone.parameters())


@on_devices
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_on_a_device(chat: VideoChat, engine: Path, branch: Path, dtype: str, device: str) -> None:
    """The tokens of a video, and the answer; in bfloat16 the tokens are near."""
    options: Any = dict(num_frames=4, local_files_only=True, device_map={'': device})
    moved = VideoChat.from_pretrained(engine, branch, dtype=getattr(torch, dtype), **options)
    frames, right = make_frames(), chat.encode(make_frames())
    tokens = moved.encode(frames)
    assert tokens.device.type == device
    error = (tokens.float().cpu() - right).abs().max() / right.abs().max()
    assert error <= (1e-4 if dtype == 'float32' else 2e-2)
    answer = moved.ask(frames, QUESTION, **GREEDY)
    if dtype == 'float32':
        assert answer == chat.ask(frames, QUESTION, **GREEDY)
