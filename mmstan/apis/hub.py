"""Saved models on the Hugging Face hub."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from mmstan.apis.package import CARD, CONFIG, WEIGHTS
from mmstan.wording import write_on_one_line

_HUB = 'hf://'


def fetch_package(address: str) -> Path:
    """Download a saved model, ``hf://OWNER/NAME[@REVISION]``, or find it in the hub's cache.

    With ``HF_HUB_OFFLINE=1`` the cache alone is asked.

    Raises:
        ValueError: The address is of another form.
        FileNotFoundError: There is no such model, or it cannot be fetched.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repo, _, revision = address.removeprefix(_HUB).partition('@')
    if repo.count('/') != 1:
        raise ValueError(f'{address}: write {_HUB}OWNER/NAME or {_HUB}OWNER/NAME@REVISION')
    try:
        folder = snapshot_download(
            repo, revision=revision or None, allow_patterns=[CONFIG, WEIGHTS, CARD]
        )
    except HFValidationError as error:
        raise ValueError(f'{address}: {error}') from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = write_on_one_line(error)
        raise FileNotFoundError(f'{address} cannot be fetched: {reason}') from error
    if not Path(folder, CONFIG).exists():
        raise FileNotFoundError(f'{address} has no {CONFIG}: no model of mmstan was saved there')
    return Path(folder)


def push_package(
    folder: str | os.PathLike[str], repo: str, *, private: bool = True, **options: Any
) -> str:
    """Upload a saved model; returns its address.

    Args:
        folder: A folder that ``VideoModel.save`` wrote.
        repo: ``OWNER/NAME``; it is made if it is not there.
        private: Whether a new repository is private.
        options: Of ``huggingface_hub.HfApi.upload_folder``, such as ``commit_message``.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    name = api.create_repo(repo, private=private, exist_ok=True).repo_id
    api.upload_folder(
        folder_path=os.fspath(folder),
        repo_id=name,
        allow_patterns=[CONFIG, WEIGHTS, CARD],
        **options,
    )
    return f'{_HUB}{name}'


def push_model(model: Any, repo: str, *, private: bool = True) -> str:
    """Save a :class:`~mmstan.apis.video_model.VideoModel` and upload it; returns its address."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, 'model')
        model.save(target)
        return push_package(target, repo, private=private)
