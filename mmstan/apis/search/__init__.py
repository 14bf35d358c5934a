"""Search videos by text, by an example or by an embedding."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmstan.apis.search.changing import Changes
    from mmstan.apis.search.hits import Hit
    from mmstan.apis.search.index import SearchIndex

__all__ = ['Changes', 'Hit', 'SearchIndex']

# Imported when they are asked for: the command's options need none of them.
_LATER = dict(Changes='changing', Hit='hits', SearchIndex='index')


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_LATER[name]}'), name)
