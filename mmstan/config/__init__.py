"""What can be said about a config before anything is built, and its tiny and toy forms."""

from mmstan.config.checks import check_arguments, check_config, check_work_dir, missing_data
from mmstan.config.paths import default_work_dir, is_checkpoint
from mmstan.config.sources import custom_imports, own_sources

__all__ = [
    'check_arguments',
    'check_config',
    'check_work_dir',
    'custom_imports',
    'default_work_dir',
    'is_checkpoint',
    'missing_data',
    'own_sources',
]
