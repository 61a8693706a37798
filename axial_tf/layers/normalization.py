"""Batch normalization, from activations or from their moments."""

import dataclasses
from typing import Callable, Optional, Tuple

import tensorflow as tf

from axial_tf import settings
from axial_tf.keras2 import keras


@dataclasses.dataclass(frozen=True)
class BatchNormSettings:
  """Settings of batch norm; defaults as in DeepLab2's configurations.

  Attributes:
    momentum: share of the old moving statistics kept at each training step.
    epsilon: added to the variance.
    synchronized: whether replicas share the statistics of the global batch;
      None: wherever there is more than one.
  """
  momentum: float = 0.99
  epsilon: float = 1e-3
  synchronized: Optional[bool] = None

  def __post_init__(self):
    settings.check_types(self)
    settings.require(0 <= self.momentum < 1, self, 'momentum', '0 <= x < 1')
    settings.require(self.epsilon > 0, self, 'epsilon', 'a positive number')

  def synchronizes(self) -> bool:
    """Whether layers created in the current strategy share statistics."""
    if self.synchronized is not None:
      return self.synchronized
    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def batch_norm(norm: BatchNormSettings, *, name: str,
               gamma_initializer='ones') -> keras.layers.BatchNormalization:
  """Returns the ordinary Keras layer, over the last axis."""
  return keras.layers.BatchNormalization(
      momentum=norm.momentum, epsilon=norm.epsilon,
      synchronized=norm.synchronizes(), gamma_initializer=gamma_initializer,
      name=name)


def wide(dtype: tf.DType) -> tf.DType:
  """Returns the type of sums and statistics: float64 stays, else float32."""
  return tf.float64 if dtype == tf.float64 else tf.float32


Moments = Tuple[tf.Tensor, tf.Tensor]


class MomentNormalization(keras.layers.Layer):
  """Batch norm that also accepts moments and folds into the layer before it.

  The logits of an attention layer are too large to be stored three times, and
  their mean and mean square follow from much smaller tensors. For them, this
  layer never sees the normalized values: `affine` turns moments into (scale,
  shift) such that `scale * x + shift` is the batch norm of x. Called like any
  layer, it normalizes its input over the last axis. Variables and moving
  statistics are like those of the Keras layer (the variance is the biased one,
  as in Keras' unfused batch norm).
  """

  def __init__(self, norm: BatchNormSettings, name: Optional[str] = None,
               **kwargs):
    super().__init__(name=name, **kwargs)
    self._norm = norm
    self._synchronized = norm.synchronizes()

  def build(self, input_shape):
    shape = (int(input_shape[-1]),)
    self.gamma = self.add_weight(
        'gamma', shape, initializer='ones', experimental_autocast=False)
    self.beta = self.add_weight(
        'beta', shape, initializer='zeros', experimental_autocast=False)
    moving = dict(
        trainable=False, synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.MEAN, experimental_autocast=False)
    self.moving_mean = self.add_weight(
        'moving_mean', shape, initializer='zeros', **moving)
    self.moving_variance = self.add_weight(
        'moving_variance', shape, initializer='ones', **moving)
    super().build(input_shape)

  def call(self, inputs, training=False):
    """Normalizes [..., channels] over all axes but the last."""
    if not self.uses_batch(training):
      scale, shift = self.affine(None, False)
      return inputs * tf.cast(scale, inputs.dtype) + tf.cast(
          shift, inputs.dtype)
    if self._synchronized or inputs.dtype == tf.float64:
      axes = list(range(inputs.ndim - 1))
      values = tf.cast(inputs, wide(inputs.dtype))
      scale, shift = self.affine(lambda: (
          tf.reduce_mean(values, axes),
          tf.reduce_mean(tf.square(values), axes)), True)
      return tf.cast(values * scale + shift, inputs.dtype)
    pixels = tf.reshape(inputs, [1, 1, -1, inputs.shape[-1]])
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        pixels, self.gamma, self.beta, epsilon=self._norm.epsilon,
        is_training=True)
    # The operation returns the unbiased variance.
    count = tf.cast(tf.shape(pixels)[2], tf.float32)
    self._average(mean, variance * (tf.maximum(count, 2) - 1) / (
        tf.maximum(count, 2)))
    return tf.reshape(outputs, tf.shape(inputs))

  def uses_batch(self, training: bool) -> bool:
    """Whether the statistics are those of the batch.

    As in Keras, a layer that is not trainable always uses its moving ones.
    """
    return bool(training) and self.trainable

  def _average(self, mean, variance):
    """Updates the moving statistics with those of a batch."""
    keep = self._norm.momentum
    self.moving_mean.assign_sub((self.moving_mean - mean) * (1 - keep))
    self.moving_variance.assign_sub(
        (self.moving_variance - variance) * (1 - keep))

  def affine(self, moments: Optional[Callable[[], Moments]],
             training: bool) -> Moments:
    """Returns scale and shift, each [channels].

    Args:
      moments: computes mean and mean square over the batch, each [channels];
        called if uses_batch(training) only.
      training: whether to use (and average) the moments of this batch.
    """
    if self.uses_batch(training):
      mean, mean_square = moments()
      if self._synchronized:
        mean, mean_square = _mean_over_replicas((mean, mean_square))
      variance = tf.maximum(mean_square - tf.square(mean), 0)
      self._average(mean, variance)
    else:
      mean = tf.convert_to_tensor(self.moving_mean)
      variance = tf.convert_to_tensor(self.moving_variance)
    gamma, beta = (tf.cast(w, mean.dtype) for w in (self.gamma, self.beta))
    scale = gamma * tf.math.rsqrt(variance + self._norm.epsilon)
    return scale, beta - mean * scale


def _mean_over_replicas(tensors):
  context = tf.distribute.get_replica_context()
  if context is None:
    return tensors
  return context.all_reduce(tf.distribute.ReduceOp.MEAN, list(tensors))
