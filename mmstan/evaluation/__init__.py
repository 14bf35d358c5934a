"""Metrics and test protocols."""

from mmstan.evaluation.acc_metric import AccMetric

__all__ = ['AccMetric']
