"""Pictures."""

from mmstan.visualization.recognition import (
    Strip,
    confusion_matrix,
    draw_confusion,
    draw_strip,
    recognition_report,
)

__all__ = ['Strip', 'confusion_matrix', 'draw_confusion', 'draw_strip', 'recognition_report']
