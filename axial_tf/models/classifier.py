"""An image classifier: a backbone, the mean over the image, one layer."""

import dataclasses

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.keras2 import keras
from axial_tf.layers import multiply_adds
from axial_tf.models import axial_resnet, backbones


@dataclasses.dataclass(frozen=True)
class ClassifierSettings:
  """Settings of the whole classifier.

  Attributes:
    backbone: settings of the network before the mean.
    dropout_rate: share of the mean features that are dropped in training.
  """
  backbone: backbones.BackboneSettings = axial_resnet.AxialResNetSettings()
  dropout_rate: float = 0.0

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        0 <= self.dropout_rate < 1, self, 'dropout_rate', '0 <= x < 1')


class Classifier(keras.Model):
  """Images to logits of classes."""

  def __init__(self, settings: ClassifierSettings, num_classes: int, **kwargs):
    """Makes the backbone and the last layer.

    Args:
      settings: settings of all parts.
      num_classes: number of outputs; ImageNet has 1000.
      **kwargs: keyword arguments of keras.Model.
    """
    super().__init__(**kwargs)
    self._settings = settings
    self._num_classes = num_classes
    self.backbone = backbones.build(settings.backbone, name='backbone')
    self.mean = keras.layers.GlobalAveragePooling2D(name='mean')
    self.dropout = keras.layers.Dropout(
        settings.dropout_rate, name='dropout')
    self.last = keras.layers.Dense(num_classes, name='last')

  def call(self, images, training=False):
    """Float [batch, height, width, 3] in -1..1 -> float32 [batch, classes].

    Raises:
      errors.UserError: images known to be smaller than the output stride.
    """
    features = self.mean(self.backbone(images, training=training)['res5'])
    logits = self.last(self.dropout(features, training=training))
    return logits if logits.dtype == tf.float64 else tf.cast(
        logits, tf.float32)

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built model for one image of this size.

    Raises:
      errors.UserError: the model is not built.
    """
    multiply_adds.require_built(self)
    return (self.backbone.multiply_adds(height, width)
            + self.last.kernel.shape.num_elements())

  def get_config(self):
    return {'name': self.name, 'num_classes': self._num_classes,
            'backbone': backbones.settings_to_config(self._settings.backbone),
            'dropout_rate': self._settings.dropout_rate}

  @classmethod
  def from_config(cls, config):
    settings = ClassifierSettings(
        backbones.settings_from_config(config['backbone']),
        config['dropout_rate'])
    return cls(settings, config['num_classes'], name=config['name'])
