"""Folders of images, each of which is a frame of a video."""

from __future__ import annotations

from pathlib import Path

from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.visible_files import is_hidden
from mmstan.wording import split_numbers

_IMAGES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')


def list_images(folder: str) -> list[str]:
    """List the paths of a folder's images in their order: frame2 comes before frame10.

    Hidden files and other files are left out.

    Raises:
        BrokenVideoError: The folder holds no images.
    """
    files = [path for path in Path(folder).iterdir() if path.suffix.lower() in _IMAGES]
    files = [path for path in files if not is_hidden(path.name)]
    if not files:
        raise BrokenVideoError(
            folder, f'is a folder that holds no images ({", ".join(_IMAGES)}); give its videos'
        )
    return [str(path) for path in sorted(files, key=lambda path: split_numbers(path.name))]
