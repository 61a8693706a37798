"""Builds our backbones as the Model Garden expects them."""

import functools
from typing import Dict, Optional

from official.modeling import hyperparams
from official.vision.modeling.backbones import factory
from official.vision.ops import preprocess_ops
import tensorflow as tf

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.layers import normalization
from axial_tf.models import backbones
from axial_tf.training import checkpoints

_STAGES = (2, 3, 4, 5)


def endpoints(output_stride: int) -> Dict[str, str]:
  """Returns which endpoint of ours is the Model Garden's at each level.

  A level is the binary logarithm of the stride. Of the stages with the output
  stride, the last one is used: {'2': 'res2', '3': 'res3', '4': 'res5'} at 16.

  Args:
    output_stride: stride of 'res5'.
  """
  levels = {}
  for stage in _STAGES:
    level = min(stage, output_stride.bit_length() - 1)
    levels[str(level)] = f'res{stage}'
  return levels


class Backbone(keras.Model):
  """A backbone of ours with the inputs and outputs of a Model Garden one.

  Inputs are images [batch, height, width, 3] that are standardized by
  ImageNet's mean and deviation, as the Model Garden's parsers return them; the
  network gets the same images in -1..1, as in our own training, so that
  weights can be exchanged. Outputs are activated features by level: '2' has
  stride 4, '3' stride 8, and so forth.

  Attributes:
    network: our backbone.
  """

  def __init__(
      self,
      settings: backbones.BackboneSettings,
      input_specs: Optional[keras.layers.InputSpec] = None,
      kernel_regularizer: Optional[keras.regularizers.Regularizer] = None,
      **kwargs):
    """Builds the network.

    Args:
      settings: settings of the network.
      input_specs: shape of the images; height and width may be None.
      kernel_regularizer: penalty on kernels, which is among the losses; batch
        norms, biases and position tables have none, as in our own training.
      **kwargs: keyword arguments of keras.Model.

    Raises:
      errors.UserError: images smaller than the output stride.
    """
    if input_specs is None:
      input_specs = keras.layers.InputSpec(shape=[None, None, None, 3])
    _require_size(input_specs.shape[1:3], settings.output_stride)
    network = backbones.build(settings, name='network')
    images = keras.Input(input_specs.shape[1:], name='images')
    features = network(_from_standardized(images))
    outputs = {level: features[name] for level, name in endpoints(
        settings.output_stride).items()}
    super().__init__(inputs=images, outputs=outputs, **kwargs)
    self.network = network
    self._output_specs = {
        level: feature.shape for level, feature in outputs.items()}
    self._config = {
        'settings': backbones.settings_to_config(settings),
        'input_shape': list(input_specs.shape),
        'kernel_regularizer': keras.regularizers.serialize(kernel_regularizer)}
    if kernel_regularizer is not None:
      for name, variable in checkpoints.places(network).items():
        if name.endswith('kernel'):
          self.add_loss(functools.partial(kernel_regularizer, variable))

  @property
  def output_specs(self) -> Dict[str, tf.TensorShape]:
    """Shapes of the outputs by level."""
    return self._output_specs

  def get_config(self):
    return {'name': self.name, **self._config}

  @classmethod
  def from_config(cls, config, custom_objects=None):
    del custom_objects  # There are none in the settings.
    return cls(
        backbones.settings_from_config(config['settings']),
        keras.layers.InputSpec(shape=config['input_shape']),
        keras.regularizers.get(config['kernel_regularizer']),
        name=config['name'])


@factory.register_backbone_builder('axial_resnet')
def build(input_specs: keras.layers.InputSpec,
          backbone_config: hyperparams.Config,
          norm_activation_config: hyperparams.Config,
          l2_regularizer: Optional[keras.regularizers.Regularizer] = None
          ) -> Backbone:
  """Builds the backbone of a configuration.

  Args:
    input_specs: shape of the images.
    backbone_config: a `configs.Backbone`.
    norm_activation_config: momentum, epsilon and synchronization of all batch
      norms, and the activation, which must be 'relu'.
    l2_regularizer: penalty on kernels.

  Raises:
    errors.UserError: a value out of range, or images that are too small.
  """
  activation = norm_activation_config.activation
  if activation != 'relu':
    raise errors.UserError(
        f"norm_activation.activation: expected 'relu', the only one of "
        f'axial_resnet, got {activation!r}; set it to relu')
  norm = normalization.BatchNormSettings(
      momentum=norm_activation_config.norm_momentum,
      epsilon=norm_activation_config.norm_epsilon,
      synchronized=norm_activation_config.use_sync_bn)
  return Backbone(backbone_config.get().settings(norm), input_specs,
                  l2_regularizer, name='axial_resnet')


def _require_size(size, output_stride: int) -> None:
  """Raises a UserError if height or width is known and too small."""
  # Keras would wrap the network's own error in its traceback.
  if any(side is not None and side < output_stride for side in size):
    raise errors.UserError(
        f'axial_resnet: expected images whose height and width are at least '
        f'the output stride, {output_stride}, got {tuple(size)}; set '
        f'task.model.input_size')


def _from_standardized(images):
  """Mean 0 and deviation 1 over all images of ImageNet -> -1..1."""
  return keras.layers.Rescaling(
      [2 * deviation for deviation in preprocess_ops.STDDEV_NORM],
      [2 * mean - 1 for mean in preprocess_ops.MEAN_NORM],
      dtype=tf.float32, name='from_standardized')(images)
