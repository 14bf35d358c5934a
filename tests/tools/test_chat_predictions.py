"""``tools/chat_predictions.py``: every format, resuming, parts, videos that are missing."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.scripts import script
from helpers.tiny_chat import make_branch, save_branch, save_tiny_engine

from mmstan.chat.predictions import compare_answers, parse_part, read_lines
from mmstan.chat.question_files import DATA, find_video, read_items

ASKED = ['what happens here ?', 'which way ?', 'what colour is it ?']


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp('chat')
    return save_tiny_engine(folder / 'engine'), save_branch(folder / 'stan.pth', make_branch())


@pytest.fixture
def videos(moving_shapes: Path, tmp_path: Path) -> Path:
    folder = tmp_path / 'videos'
    folder.mkdir()
    for number, name in enumerate(['one.avi', 'v_two.mp4']):
        shutil.copy(moving_shapes / f'recognition/test/{number:06d}.mp4', folder / name)
    (folder / 'broken.mp4').write_bytes(b'no video')
    return folder


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def run(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], *options: object
) -> list[dict[str, Any]]:
    command: list[object] = ['x.py', files[0], '--branch', files[1], '--frames', 4]
    command += ['--temperature', 0, '--max-new-tokens', 4, *options]
    monkeypatch.setattr(sys, 'argv', [*map(str, command)])
    script('chat_predictions').main()
    out = Path(str(options[options.index('--out') + 1]))
    return json.loads(out.read_text()) if out.exists() else []


def test_a_benchmark_in_parts_that_resume(
    files: tuple[Path, Path],
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ['one', 'one', 'broken', 'nowhere', 'two']
    questions = [
        dict(video_name=name, question_id=f'q{i}', question=ASKED[i % 3], answer='left')
        for i, name in enumerate(names)
    ]
    options: list[object] = ['--data', 'msvd_qa', '--videos', videos]
    options += ['--questions', write(tmp_path / 'q.json', questions)]
    whole = run(monkeypatch, files, *options, '--out', tmp_path / 'whole.json')
    assert [entry['id'] for entry in whole] == [f'q{i}' for i in range(5)]
    assert [set(entry) for entry in whole] == [{'id', 'question', 'answer', 'pred'}] * 5
    assert [bool(entry['pred']) for entry in whole] == [True, True, False, False, True]
    assert len((tmp_path / 'whole.json').read_text().splitlines()) == 7  # an entry a line
    said = capsys.readouterr()
    assert 'not comparable with published numbers' in said.out
    assert 'missing 2' in said.out
    assert '5 of 5 answered' in said.err

    # Two processes; the first one was killed while it wrote its second line.
    out = tmp_path / 'parts.json'
    assert run(monkeypatch, files, *options, '--out', out, '--part', '1/2') == []
    lines = tmp_path / 'parts.json.1of2.lines'
    kept = lines.read_text().splitlines(keepends=True)
    assert [json.loads(line)['index'] for line in kept] == [0, 2, 4]
    lines.write_text(kept[0] + kept[1][:9])
    assert run(monkeypatch, files, *options, '--out', out, '--part', '2/2') == []
    assert run(monkeypatch, files, *options, '--out', out, '--part', '1/2') == whole
    assert lines.read_text() == ''.join(kept)
    # All is answered: nothing is asked again.
    lines.write_text(''.join(kept).replace(whole[0]['pred'], 'as it was'))
    again = run(monkeypatch, files, *options, '--out', out, '--part', '1/2')
    assert again[0]['pred'] == 'as it was'
    with pytest.raises(SystemExit, match='by another model or other settings: delete it'):
        run(monkeypatch, files, *options, '--out', out, '--part', '1/2', '--branch-weight', 0)
    # Videos that were missing are looked for again.
    shutil.copytree(videos, tmp_path / 'more')
    for name in ('broken', 'nowhere'):
        shutil.copy(tmp_path / 'more/v_two.mp4', tmp_path / f'more/{name}.mp4')
    options += ['--videos', tmp_path / 'more', '--out', tmp_path / 'whole.json']
    assert all(entry['pred'] for entry in run(monkeypatch, files, *options))


def test_two_questions_of_a_video(
    files: tuple[Path, Path], videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [dict(video_name='one', Q1=ASKED[0], Q2=ASKED[1], A='left')]
    options: list[object] = ['--data', 'consistency', '--videos', videos]
    options += ['--questions', write(tmp_path / 'q.json', asked), '--out', tmp_path / 'p.json']
    (entry,) = run(monkeypatch, files, *options)
    assert {**entry, 'pred1': '', 'pred2': ''} == {**asked[0], 'pred1': '', 'pred2': ''}
    assert entry['pred1'] and entry['pred2']
    with pytest.raises(SystemExit, match=r'^error: part=3/2: two numbers'):
        run(monkeypatch, files, *options, '--part', '3/2')
    with pytest.raises(SystemExit, match=r'^error: videos=.*no: there is no such folder'):
        run(monkeypatch, files, *options, '--videos', tmp_path / 'no')


def test_formats(tmp_path: Path) -> None:
    qa = [dict(video='video7010', id=7, question='Q?', answer='A')]
    for data in ('msvd_qa', 'msrvtt_qa', 'tgif_qa'):
        (item,) = read_items(data, str(write(tmp_path / 'q.json', qa)), None)
        assert (item.video, item.keys) == ('video7010', ('pred',))
        assert item.fields == dict(id=7, question='Q?', answer='A')
    generic = [dict(video_name='v', Q='Q?', A='A', more=1)]
    (item,) = read_items('generic', str(write(tmp_path / 'g.json', generic)), None)
    assert item.fields == generic[0]
    asked = [dict(video_name='two', question_id='two_1', question='Q?')]
    said = [dict(question_id='two_1', answer='A', type=3)]
    paths = str(write(tmp_path / 'q.json', asked)), str(write(tmp_path / 'a.json', said))
    (item,) = read_items('activitynet_qa', *paths)
    assert item.fields == dict(id='two_1', question='Q?', answer='A')
    assert set(DATA) == {
        *('msvd_qa', 'msrvtt_qa', 'activitynet_qa', 'tgif_qa', 'generic', 'consistency')
    }


@pytest.mark.parametrize(
    ('data', 'questions', 'answers', 'message'),
    [
        ('msvd_qa', {}, None, 'a dict, expected a list of questions'),
        ('msvd_qa', [1], None, 'entry 1 is 1, expected an object'),
        ('msvd_qa', [dict(question='Q?')], None, 'entry 1 has no answer, but question'),
        ('msvd_qa', [], [], 'questions and answers are two files, and only its'),
        ('activitynet_qa', [], None, 'give --questions test_q.json --answers test_a.json'),
        (
            'activitynet_qa',
            [dict(video_name='v', question_id=1, question='Q?')],
            [],
            '0 answers, but .* has 1 questions',
        ),
        (
            'activitynet_qa',
            [dict(video_name='v', question_id=1, question='Q?')],
            [dict(question_id=2, answer='A')],
            'entry 1 answers 2, the question is 1',
        ),
    ],
)
def test_question_files_of_another_format(
    data: str, questions: Any, answers: Any, message: str, tmp_path: Path
) -> None:
    said = None if answers is None else str(write(tmp_path / 'a.json', answers))
    with pytest.raises(ValueError, match=message):
        read_items(data, str(write(tmp_path / 'q.json', questions)), said)


def test_videos_are_found_with_and_without_suffix(videos: Path) -> None:
    assert find_video(videos, 'one') == find_video(videos, 'one.avi') == videos / 'one.avi'
    assert find_video(videos, 'two') == videos / 'v_two.mp4'
    assert find_video(videos, 'nowhere') is None


def test_words_are_compared(tmp_path: Path) -> None:
    path = write(
        tmp_path / 'q.json',
        [dict(video='v', id=i, question='Q?', answer='A red car') for i in range(4)],
    )
    items = read_items('msvd_qa', str(path), None)
    said = ['The red car!', 'It is a red sports car.', 'car red', '']
    entries = [{'pred': text} for text in said]
    assert compare_answers(items, entries) == dict(exact=25.0, contains=50.0, missing=1)


def test_answers_to_other_questions(tmp_path: Path) -> None:
    (tmp_path / 'a').write_text('{"index": 3, "said": ["left"], "made_from": ""}\n')
    with pytest.raises(ValueError, match='was made for other questions'):
        read_lines(tmp_path / 'a', [], '')
    assert parse_part('2/3') == (2, 3)
