"""Checks of a config before anything is built, and its tiny and toy forms."""

from mmstan.config.checks import check_arguments, check_config, check_work_dir, find_missing_data
from mmstan.config.paths import default_work_dir, is_checkpoint
from mmstan.config.sources import list_custom_imports, read_own_sources

__all__ = [
    'check_arguments',
    'check_config',
    'check_work_dir',
    'default_work_dir',
    'find_missing_data',
    'is_checkpoint',
    'list_custom_imports',
    'read_own_sources',
]
