"""Search a folder of videos by text, by an example or by an embedding."""

from mmstan.apis.search.changing import Changes
from mmstan.apis.search.hits import Hit
from mmstan.apis.search.index import SearchIndex

__all__ = ['Changes', 'Hit', 'SearchIndex']
