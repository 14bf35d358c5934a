import json
from pathlib import Path

import pytest
from helpers.videos import numbered_frames, write_video

from mmstan.prepare import check
from mmstan.prepare.check import check_video, check_videos


def test_facts(clips: Path, tmp_path: Path) -> None:
    facts = check_video(str(clips / '2.mp4'))
    assert (facts.problem, facts.frames, facts.fps, facts.seconds) == ('', 8, 8.0, 1.0)
    assert (facts.width, facts.height, len(facts.sha1)) == (64, 48, 40)
    assert facts.size == (clips / '2.mp4').stat().st_size
    (tmp_path / 'text.mp4').write_text('not a video' * 100)
    assert check_video(str(tmp_path / 'text.mp4')).problem.startswith('cannot be opened')


def test_a_video_that_could_not_be_read_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, journal = str(write_video(tmp_path / 'a.mp4', numbered_frames(3))), tmp_path / 'journal'
    with monkeypatch.context() as patch:
        patch.setattr(check, 'check_video', lambda _: check.Facts(problem='permission denied'))
        assert check_videos([path], journal, 1)[0][path].problem == 'permission denied'
    found, known = check_videos([path], journal, 1)
    assert (found[path].problem, found[path].frames, known) == ('', 3, 0)
    assert check_videos([path], journal, 1) == (found, 1)


def test_a_call_goes_on_where_another_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(write_video(tmp_path / f'{i}.mp4', numbered_frames(i + 3))) for i in range(4)]
    journal, seen = tmp_path / 'checks.jsonl', []

    def stopped(path: str) -> check.Facts:
        seen.append(path)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return check_video(path)

    with monkeypatch.context() as patch:
        patch.setattr(check, 'check_video', stopped)
        with pytest.raises(KeyboardInterrupt):
            check_videos(paths, journal, 1)
    text = journal.read_text()
    journal.write_text(text + text.splitlines()[-1][:50])  # a line that was cut
    found, known = check_videos(paths, journal, 2)
    assert (known, [facts.frames for facts in found.values()]) == (2, [3, 4, 5, 6])
    assert check_videos(paths, journal, 1) == (found, 4)
    assert len([line for line in journal.read_text().splitlines() if '"stamp"' in line]) == 5
    with pytest.raises(json.JSONDecodeError):
        [json.loads(line) for line in journal.read_text().split('\n') if line]
