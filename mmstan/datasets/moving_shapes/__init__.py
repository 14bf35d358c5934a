"""Moving Shapes: a rendered toy data set."""

from mmstan.datasets.moving_shapes.render import CLASS_NAMES, Task, generate

__all__ = ['CLASS_NAMES', 'Task', 'generate']
