"""Defines what all kinds of panoptic networks have in common."""

import abc
import dataclasses
from typing import Any

from axial_tf import settings as settings_lib
from axial_tf.keras2 import keras
from axial_tf.layers import multiply_adds
from axial_tf.models import backbones, image_sizes


class PanopticNetwork(keras.Model):
  """A network that has a backbone, and takes images of any size.

  Attributes:
    SETTINGS: class of the settings, which have `backbone` and `padding`.
    backbone: the backbone.
  """

  SETTINGS: type

  def __init__(self, settings: Any, num_classes: int, **kwargs):
    """Makes the backbone.

    Args:
      settings: settings of all parts.
      num_classes: number of semantic outputs.
      **kwargs: keyword arguments of keras.Model.
    """
    super().__init__(**kwargs)
    self._settings = settings
    self._num_classes = num_classes
    self.backbone = backbones.build(settings.backbone, name='backbone')

  @property
  def _largest_stride(self) -> int:
    """Stride of the coarsest features."""
    return self._settings.backbone.output_stride

  def pad(self, images):
    """Pads at the right and bottom to k strides + 1 pixels, k at least 1.

    The stride is that of the coarsest features.
    """
    return image_sizes.pad(
        images, self._largest_stride, self._settings.padding)

  def multiply_adds(
      self, height: int, width: int, *, padded: bool = True) -> int:
    """Returns the multiply-adds of a built model for one image of this size.

    Upsampling of the outputs is left out.

    Args:
      height: height of the image.
      width: width of the image.
      padded: whether to count for the padded image, as call() computes. If not,
        sizes of k strides are counted as in the paper of Axial-DeepLab.

    Raises:
      errors.UserError: the model is not built.
    """
    multiply_adds.require_built(self)
    if padded:
      height, width = (image_sizes.legal(size, self._largest_stride)
                       for size in (height, width))
    return (self.backbone.multiply_adds(height, width)
            + self._multiply_adds(height, width))

  @abc.abstractmethod
  def _multiply_adds(self, height: int, width: int) -> int:
    """Returns those of all but the backbone for an image of this size."""

  def get_config(self):
    settings = dataclasses.asdict(self._settings)
    settings['backbone'] = backbones.settings_to_config(
        self._settings.backbone)
    return {'name': self.name, 'num_classes': self._num_classes,
            'settings': settings}

  @classmethod
  def from_config(cls, config):
    parts = config['settings']
    settings = settings_lib.from_dict(cls.SETTINGS, {
        **parts, 'backbone': backbones.settings_from_config(
            parts['backbone'])})
    return cls(settings, config['num_classes'], name=config['name'])
