"""Axial-DeepLab: panoptic segmentation in TensorFlow 2 and Keras.

The names below are imported when they are first used, so that `import
axial_tf` costs nothing and does not load TensorFlow.
"""

import importlib

from axial_tf import version

__version__ = version.__version__

_EXPORTS = {
    'AttentionSettings': 'axial_tf.layers.attention.settings',
    'AttentionTerms': 'axial_tf.layers.attention.settings',
    'AxialAttention': 'axial_tf.layers.attention.layer',
    'AxialAttention2D': 'axial_tf.layers.attention.axial_2d',
    'AxialResNet': 'axial_tf.models.axial_resnet',
    'AxialResNetSettings': 'axial_tf.models.axial_resnet',
    'BatchNormSettings': 'axial_tf.layers.normalization',
    'Category': 'axial_tf.specs.dataset_spec',
    'Classifier': 'axial_tf.models.classifier',
    'ClassifierSettings': 'axial_tf.models.classifier',
    'ClassSpec': 'axial_tf.specs.class_spec',
    'DatasetSpec': 'axial_tf.specs.dataset_spec',
    'ImageClassifier': 'axial_tf.prediction.image_classifier',
    'LocalAttention2D': 'axial_tf.layers.baselines.local_attention_2d',
    'MeanIoU': 'axial_tf.evaluation.mean_iou',
    'PanopticDeepLab': 'axial_tf.models.panoptic_deeplab',
    'PanopticDeepLabSettings': 'axial_tf.models.panoptic_deeplab',
    'PanopticInference': 'axial_tf.inference.panoptic',
    'PanopticQuality': 'axial_tf.evaluation.panoptic_quality',
    'PanopticResult': 'axial_tf.prediction.results',
    'Predictor': 'axial_tf.prediction.predictor',
    'Segment': 'axial_tf.prediction.results',
    'UserError': 'axial_tf.errors',
    'export_saved_model': 'axial_tf.export.saved_model',
    'panoptic_overlay': 'axial_tf.visualize',
    'panoptic_settings': 'axial_tf.models.settings_by_name',
    'show_versions': 'axial_tf.versions',
    'variant_settings': 'axial_tf.models.settings_by_name',
}

__all__ = ['__version__', *sorted(_EXPORTS)]


def __getattr__(name: str):
  if name not in _EXPORTS:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  value = getattr(importlib.import_module(_EXPORTS[name]), name)
  globals()[name] = value
  return value


def __dir__():
  return sorted(set(globals()) | set(_EXPORTS))
