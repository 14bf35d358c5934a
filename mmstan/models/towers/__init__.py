"""Image and text towers: image-language models cut into parts."""

from mmstan.models.towers.base import BaseImageTower, Tower
from mmstan.models.towers.block import Block
from mmstan.models.towers.image_tower import ImageTower
from mmstan.models.towers.mmpretrain_tower import MMPretrainImageTower
from mmstan.models.towers.text_tower import TextTower

__all__ = ['BaseImageTower', 'Block', 'ImageTower', 'MMPretrainImageTower', 'TextTower', 'Tower']
