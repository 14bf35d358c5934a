"""A model as files that run without mmstan: ``torch.export`` and ONNX."""

from mmstan.apis.export.write import Format, PartName, export_model

__all__ = ['Format', 'PartName', 'export_model']
