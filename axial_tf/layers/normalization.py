"""Batch normalization, from activations or from their moments."""

import dataclasses
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import tensorflow as tf

from axial_tf import settings
from axial_tf.keras2 import keras
from axial_tf.layers import graph_ops, precision
from axial_tf.layers.shapes import sizes


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


Moments = Tuple[tf.Tensor, tf.Tensor]


class Parameters(NamedTuple):
  """Variables of a batch norm as tensors, each [channels].

  Attributes:
    gamma: factor of the normalized values.
    beta: what is added to them.
    moving: moving mean and variance; None where those of the batch are used.
  """
  gamma: tf.Tensor
  beta: tf.Tensor
  moving: Optional[Moments]


class Affine(NamedTuple):
  """Batch norm as an affine map of what it normalizes, each [channels].

  Attributes:
    scale: factor of the values.
    shift: what is added to them.
    mean: mean of the values.
    variance: variance of the values.
    reciprocal: 1 / sqrt(variance + epsilon).
  """
  scale: tf.Tensor
  shift: tf.Tensor
  mean: tf.Tensor
  variance: tf.Tensor
  reciprocal: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Normalizer:
  """Batch norm as functions of tensors, each with its gradient.

  Attributes:
    epsilon: added to the variance.
    synchronized: whether replicas share the statistics of the global batch.
    fused: whether to use TensorFlow's operation for all of a batch norm where
      it can be; XLA does as well without.
  """
  epsilon: float
  synchronized: bool
  fused: bool = True

  def affine_of(self, parameters: Parameters, moments: Optional[Moments]
                ) -> Affine:
    """Returns the affine map for moments; for the moving ones if None.

    Args:
      parameters: variables of the call.
      moments: mean and mean square of the values of this replica.
    """
    if moments is None:
      mean, variance = parameters.moving
    else:
      mean, mean_square = self._over_replicas(moments)
      variance = tf.maximum(
          mean_square - tf.square(mean), graph_ops.constant(0, mean.dtype))
    return self._affine(parameters, mean, variance)

  def affine_gradient(
      self, parameters: Parameters, affine: Affine, grad_scale: tf.Tensor,
      grad_shift: Optional[tf.Tensor]
  ) -> Tuple[Parameters, Optional[Moments]]:
    """Returns the gradients of what affine_of() was given.

    That of the mean square is twice the gradient.

    Args:
      parameters: as given to affine_of().
      affine: its result.
      grad_scale: gradient of the scale.
      grad_shift: gradient of the shift; None for 0.
    """
    if grad_shift is None:
      grad_beta = tf.zeros_like(affine.mean)
    else:
      grad_beta = grad_shift
      grad_scale -= grad_shift * affine.mean
    grad_gamma = grad_scale * affine.reciprocal
    gradients = Parameters(
        *(tf.cast(x, parameters.gamma.dtype) for x in (grad_gamma, grad_beta)),
        None)
    if parameters.moving is not None:
      return gradients, None
    falling = affine.scale * grad_gamma * affine.reciprocal
    grad_mean = affine.mean * falling
    if grad_shift is not None:
      grad_mean -= grad_shift * affine.scale
    return gradients, self._over_replicas((grad_mean, -falling))

  def normalize(self, parameters: Parameters, values: tf.Tensor
                ) -> Tuple[tf.Tensor, Affine, List[tf.Tensor]]:
    """Normalizes values [count, channels] by their own statistics.

    Returns:
      The normalized values, the map that was applied, and what
      normalize_gradient() needs besides.
    """
    if not self.fused or self.synchronized or values.dtype == tf.float64:
      wide_values = precision.widen(values)
      affine = self.affine_of(parameters, (
          tf.reduce_mean(wide_values, 0),
          tf.reduce_mean(tf.square(wide_values), 0)))
      outputs = wide_values * affine.scale + affine.shift
      return tf.cast(outputs, values.dtype), affine, []
    count, channels = sizes(values)
    pixels = [1, 1, count, channels]
    empty = graph_ops.constant([], tf.float32)
    outputs, mean, variance, *reserved = tf.raw_ops.FusedBatchNormV3(
        x=graph_ops.reshape(values, pixels),
        scale=parameters.gamma, offset=parameters.beta,
        mean=empty, variance=empty, epsilon=self.epsilon)
    # The operation returns the unbiased variance.
    if isinstance(count, int):
      variance *= graph_ops.constant(
          max(count - 1, 1) / max(count, 2), tf.float32)
    else:
      count = tf.cast(tf.maximum(count, 2), tf.float32)
      variance *= (count - 1) / count
    return graph_ops.reshape(outputs, pixels[2:]), self._affine(
        parameters, mean, variance), reserved

  def normalize_gradient(
      self, parameters: Parameters, affine: Affine,
      reserved: Sequence[tf.Tensor], values: tf.Tensor, grad: tf.Tensor
  ) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the gradients of values * scale + shift.

    Args:
      parameters: variables of the call.
      affine: map of the values.
      reserved: what normalize() reserved; empty if it was not called.
      values: [count, channels], what was normalized.
      grad: gradient of the normalized values.

    Returns:
      Gradients of values, gamma and beta.
    """
    if reserved:
      pixels = [1, 1, *sizes(values)]
      grads = tf.raw_ops.FusedBatchNormGradV3(
          y_backprop=graph_ops.reshape(grad, pixels),
          x=graph_ops.reshape(values, pixels),
          scale=parameters.gamma, reserve_space_1=reserved[0],
          reserve_space_2=reserved[1], reserve_space_3=reserved[2],
          epsilon=self.epsilon)
      return (graph_ops.reshape(grads[0], pixels[2:]), *grads[1:3])
    wide_values, wide_grad = (
        tf.cast(x, affine.scale.dtype) for x in (values, grad))
    gradients, grad_moments = self.affine_gradient(
        parameters, affine, tf.reduce_sum(wide_grad * wide_values, 0),
        tf.reduce_sum(wide_grad, 0))
    wide_grad *= affine.scale
    if grad_moments is not None:
      count = tf.cast(tf.shape(values)[0], wide_grad.dtype)
      mean, twice_square = grad_moments
      wide_grad += (mean + twice_square * wide_values) / count
    return tf.cast(wide_grad, values.dtype), *gradients[:2]

  def _affine(self, parameters, mean, variance):
    gamma, beta = (tf.cast(x, mean.dtype) for x in parameters[:2])
    reciprocal = tf.math.rsqrt(
        variance + graph_ops.constant(self.epsilon, variance.dtype))
    scale = gamma * reciprocal
    return Affine(scale, beta - mean * scale, mean, variance, reciprocal)

  def _over_replicas(self, tensors):
    """Returns the means over the replicas that share statistics."""
    context = tf.distribute.get_replica_context()
    if not self.synchronized or context is None:
      return tensors
    return tuple(
        context.all_reduce(tf.distribute.ReduceOp.MEAN, list(tensors)))


class MomentNormalization(keras.layers.Layer):
  """Batch norm that also accepts moments and folds into the layer before it.

  The logits of an attention layer are too large to be stored three times, and
  their mean and mean square follow from much smaller tensors. For them, this
  layer never sees the normalized values: `affine` turns moments into (scale,
  shift) such that `scale * x + shift` is the batch norm of x. Called like any
  layer, it normalizes its input over the last axis. Variables and moving
  statistics are like those of the Keras layer (the variance is the biased one,
  as in Keras' unfused batch norm).

  Attributes:
    normalizer: its arithmetic, without variables.
  """

  def __init__(self, norm: BatchNormSettings, name: Optional[str] = None,
               **kwargs):
    super().__init__(name=name, **kwargs)
    self._momentum = norm.momentum
    self.normalizer = Normalizer(norm.epsilon, norm.synchronizes())

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
    parameters = self.parameters(training)
    if parameters.moving is not None:
      affine = self.normalizer.affine_of(parameters, None)
      return precision.scaled(inputs, affine.scale, affine.shift)
    outputs, affine, _ = self.normalizer.normalize(
        parameters, tf.reshape(inputs, [-1, inputs.shape[-1]]))
    self.average(affine.mean, affine.variance)
    return tf.reshape(outputs, tf.shape(inputs))

  def uses_batch(self, training: bool) -> bool:
    """Whether the statistics are those of the batch.

    As in Keras, a layer that is not trainable always uses its moving ones.
    """
    return bool(training) and self.trainable

  def parameters(self, training: bool) -> Parameters:
    """Returns the variables that a call uses."""
    moving = None
    if not self.uses_batch(training):
      moving = tuple(
          tf.convert_to_tensor(x)
          for x in (self.moving_mean, self.moving_variance))
    return Parameters(tf.convert_to_tensor(self.gamma),
                      tf.convert_to_tensor(self.beta), moving)

  def average(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
    """Updates the moving statistics with those of a batch."""
    share = graph_ops.constant(1 - self._momentum, mean.dtype)
    for moving, value in ((self.moving_mean, mean),
                          (self.moving_variance, variance)):
      moving.assign_sub((moving - value) * share)

  def affine(self, moments: Optional[Callable[[], Moments]],
             training: bool) -> Moments:
    """Returns scale and shift, each [channels], with gradients.

    Args:
      moments: computes mean and mean square over the batch, each [channels];
        called if uses_batch(training) only.
      training: whether to use (and average) the moments of this batch.
    """
    parameters = self.parameters(training)
    if parameters.moving is not None:
      return self.normalizer.affine_of(parameters, None)[:2]
    affine = self.normalizer.affine_of(parameters, moments())
    self.average(affine.mean, affine.variance)
    return affine[:2]
