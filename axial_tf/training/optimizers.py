"""Builds optimizers and learning-rate schedules.

The only module that chooses between tensorflow-addons, which needs TensorFlow
2.15, and our own bases of its two optimizers. All optimizers are legacy ones of
Keras 2, as the addons accept no others.
"""

import dataclasses
from typing import List, Literal, Optional, Sequence
import warnings

from official.modeling.optimization import ema_optimizer, lr_schedule
import tensorflow as tf

from axial_tf import keras2
from axial_tf import settings as settings_lib
from axial_tf.keras2 import keras

if keras2.IS_TF_2_15:
  with warnings.catch_warnings():
    # Its end-of-life warning does not concern users.
    warnings.simplefilter('ignore', UserWarning)
    from tensorflow_addons import optimizers as bases
else:
  from axial_tf.training import optimizer_bases as bases


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
  """Optimizer and schedule; the defaults are the paper's (section 4).

  Attributes:
    name: 'radam_lookahead' (the paper), 'adam' (Panoptic-DeepLab) or 'sgd'.
    learning_rate: peak rate, reached at the end of the warm-up.
    warmup_steps: steps of linear growth from 0.
    decay: 'poly' falls as (1 - step / train_steps) ** decay_power, 'cosine' as
      (1 + cos(pi * step / train_steps)) / 2; 'constant'.
    decay_power: exponent of the poly decay.
    end_learning_rate: final rate of the poly and the cosine decay.
    weight_decay: weight decay of kernels; batch norms, biases and position
      tables do not decay. With 'radam_lookahead' decoupled from the gradient
      (the paper: none); with 'sgd' the factor of half the sum of squares, which
      is added to the loss.
    clip_norm: limit of the global gradient norm; None disables clipping.
    lookahead_period: steps between two synchronizations of the slow weights,
      which validation, export and prediction use.
    lookahead_step_size: share of the way that slow weights move, in (0, 1].
    beta_2: decay of the second moments. RAdam lowers its rate for about
      1 / (1 - beta_2) steps, so runs of a few hundred steps need 0.99.
    momentum: Nesterov momentum of 'sgd'.
    average_decay: decay of a moving average of the weights, which
      validation, export and prediction use instead of them; 0.9999 for long
      training runs. None disables it.
  """

  name: Literal['radam_lookahead', 'adam', 'sgd'] = 'radam_lookahead'
  learning_rate: float = 1e-3
  warmup_steps: int = 0
  decay: Literal['poly', 'cosine', 'constant'] = 'poly'
  decay_power: float = 0.9
  end_learning_rate: float = 0.0
  weight_decay: float = 0.0
  clip_norm: Optional[float] = None
  lookahead_period: int = 6
  lookahead_step_size: float = 0.5
  beta_2: float = 0.999
  momentum: float = 0.9
  average_decay: Optional[float] = None

  def __post_init__(self):
    settings_lib.check_types(self)
    for field in ('learning_rate', 'decay_power'):
      settings_lib.require(
          getattr(self, field) > 0, self, field, 'a number > 0')
    for field in ('warmup_steps', 'weight_decay', 'end_learning_rate'):
      settings_lib.require(
          getattr(self, field) >= 0, self, field, 'a number >= 0')
    settings_lib.require(
        self.clip_norm is None or self.clip_norm > 0, self, 'clip_norm',
        'None or a number > 0')
    settings_lib.require(
        0 < self.beta_2 < 1, self, 'beta_2', 'a number in (0, 1)')
    settings_lib.require(
        self.average_decay is None or 0 < self.average_decay < 1, self,
        'average_decay', 'None or a number in (0, 1)')
    settings_lib.require(
        self.lookahead_period >= 1, self, 'lookahead_period', 'an int >= 1')
    settings_lib.require(
        0 < self.lookahead_step_size <= 1, self, 'lookahead_step_size',
        'a number in (0, 1]')
    settings_lib.require(
        self.weight_decay == 0 or self.name != 'adam', self,
        'weight_decay', f'0 with the optimizer {self.name!r}')


def build_schedule(settings: OptimizerSettings, train_steps: int):
  """Returns the learning rate as a schedule over steps."""
  if settings.decay == 'poly':
    rate = keras.optimizers.schedules.PolynomialDecay(
        settings.learning_rate, decay_steps=max(1, train_steps),
        end_learning_rate=settings.end_learning_rate,
        power=settings.decay_power)
  elif settings.decay == 'cosine':
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, decay_steps=max(1, train_steps),
        alpha=settings.end_learning_rate / settings.learning_rate)
  else:
    rate = keras.optimizers.schedules.PiecewiseConstantDecay(
        [max(1, train_steps)], [settings.learning_rate] * 2)
  if settings.warmup_steps:
    rate = lr_schedule.LinearWarmup(
        rate, settings.warmup_steps, warmup_learning_rate=0.0)
  return rate


class ScaledRate(keras.optimizers.schedules.LearningRateSchedule):
  """A schedule times a variable, which scales all later rates."""

  def __init__(self, schedule, scale: tf.Variable):
    super().__init__()
    self._schedule = schedule
    self._scale = scale

  def __call__(self, step):
    return self._schedule(step) * self._scale

  def get_config(self):
    return {'schedule': self._schedule, 'scale': float(self._scale)}


def build_optimizer(settings: OptimizerSettings, train_steps: int,
                    rate_scale: Optional[tf.Variable] = None):
  """Returns a legacy Keras optimizer with its schedule.

  Args:
    settings: settings of the optimizer.
    train_steps: number of steps over which the rate decays.
    rate_scale: factor of the rate that may change during training.
  """
  schedule = build_schedule(settings, train_steps)
  if rate_scale is not None:
    schedule = ScaledRate(schedule, rate_scale)
  optimizer = _build(settings, schedule)
  if settings.average_decay is not None:
    optimizer = Averaging(optimizer, average_decay=settings.average_decay)
  return optimizer


def _build(settings: OptimizerSettings, schedule):
  if settings.name == 'adam':
    return keras.optimizers.legacy.Adam(schedule, beta_2=settings.beta_2)
  if settings.name == 'sgd':
    return keras.optimizers.legacy.SGD(
        schedule, momentum=settings.momentum, nesterov=settings.momentum > 0)
  return _Lookahead(
      _RectifiedAdam(
          schedule, beta_2=settings.beta_2,
          weight_decay=settings.weight_decay),
      sync_period=settings.lookahead_period,
      slow_step_size=settings.lookahead_step_size)


def add_decay(
    gradients: Sequence[tf.Tensor], variables: Sequence[tf.Variable],
    settings: OptimizerSettings) -> List[tf.Tensor]:
  """Adds the gradients of the penalty that 'sgd' puts on kernels.

  Args:
    gradients: gradients of the global batch.
    variables: variables of the gradients, in their order.
    settings: settings of the optimizer; optimizers other than 'sgd' apply
      weight decay themselves.
  """
  if settings.name != 'sgd' or settings.weight_decay == 0:
    return list(gradients)
  return [
      gradient + settings.weight_decay * tf.cast(variable, gradient.dtype)
      if _is_kernel(variable) else gradient
      for gradient, variable in zip(gradients, variables)]


def _is_kernel(variable: tf.Variable) -> bool:
  # The copy of another replica is called .../kernel/replica_1:0.
  name = variable.name.split(':')[0].split('/replica_')[0]
  return name.endswith('kernel')


class Averaging(ema_optimizer.ExponentialMovingAverage):
  """An optimizer with moving averages of the weights, starting at the weights.

  The original starts them at 0. The Model Garden's trainer swaps them with the
  weights before and after each validation.
  """

  def apply_gradients(self, grads_and_vars, name=None, **options):
    # The original takes no options, such as not summing over replicas again.
    result = self._optimizer.apply_gradients(grads_and_vars, name, **options)
    ema_optimizer.maybe_merge_call(
        self.update_average, tf.distribute.get_strategy())
    return result

  def shadow_copy(self, model: keras.Model):
    super().shadow_copy(model)
    self.restart()

  def restart(self) -> None:
    """Sets the averages to the current weights."""
    for average, weight in zip(self._average_weights, self._model_weights):
      average.assign(weight)


class _RectifiedAdam(bases.RectifiedAdam):
  """RectifiedAdam whose step is one operation per variable, not 25.

  Only kernels decay.

  With m and v the moments and p = 1 - beta ** step, a rectified step is

    rate * r * (m / p1) / (sqrt(v / p2) + epsilon)
      = (rate * r) * (sqrt(p2) / p1) * m / (sqrt(v) + epsilon * sqrt(p2)),

  which is Adam's step at another rate and epsilon, and Adam's is one fused
  operation. In the first steps the variance estimate is unreliable and the
  step is rate * m / p1: Adam's with sqrt(v) negligible compared to epsilon.
  """

  def _prepare_local(self, var_device, var_dtype, apply_state):
    super()._prepare_local(var_device, var_dtype, apply_state)
    state = apply_state[var_device, var_dtype]
    root = tf.sqrt(1 - state['beta_2_power'])
    rectified = state['sma_t_ge_sma_threshold']
    state['adam_rate'] = state['lr_t'] * tf.where(
        rectified, state['r_t'], _HUGE / root)
    state['adam_epsilon'] = tf.where(
        rectified, state['epsilon_t'] * root, _HUGE)

  def _resource_apply_dense(self, grad, var, apply_state=None):
    state = apply_state[var.device, var.dtype.base_dtype]
    decays = self._has_weight_decay and _is_kernel(var)
    with tf.control_dependencies([var.assign_sub(
        state['lr_t'] * state['wd_t'] * var, self._use_locking)]
        if decays else []):
      return self._adam_step(grad, var, state)

  def _adam_step(self, grad, var, state):
    return tf.raw_ops.ResourceApplyAdam(
        var=var.handle, m=self.get_slot(var, 'm').handle,
        v=self.get_slot(var, 'v').handle, beta1_power=state['beta_1_power'],
        beta2_power=state['beta_2_power'], lr=state['adam_rate'],
        beta1=state['beta_1_t'], beta2=self._get_hyper('beta_2', var.dtype),
        epsilon=state['adam_epsilon'], grad=grad,
        use_locking=self._use_locking)


_HUGE = 1e8


class _Lookahead(bases.Lookahead):
  """Lookahead that computes shared values once a step, not once a variable.

  The original makes the inner optimizer recompute its rates, powers of beta and
  rectification for each variable and checks for each variable whether it is
  time to synchronize: 150 operations a variable instead of about 30, which
  for a network of 300 small variables takes longer than the network.
  """

  def _prepare(self, var_list):
    apply_state = super()._prepare(var_list)
    step = tf.cast(self.iterations + 1, tf.int64)
    period = self._get_hyper('sync_period', tf.int64)
    is_time = tf.equal(tf.math.floormod(step, period), 0)
    # Slow weights move by this share of the way to the fast ones.
    share = tf.where(
        is_time, self._get_hyper('slow_step_size', tf.float32), 0.0)
    return {**apply_state, _SHARED: (is_time, share)}

  def _resource_apply_dense(self, grad, var, apply_state=None):
    is_time, share = apply_state[_SHARED]
    update = self._optimizer._resource_apply_dense(grad, var, apply_state)
    with tf.control_dependencies([update]):
      slow = self.get_slot(var, 'slow')
      slow_update = slow.assign_add(
          tf.cast(share, var.dtype) * (var - slow), self._use_locking)
      with tf.control_dependencies([slow_update]):
        return tf.group(slow_update, var.assign(
            tf.where(is_time, slow, var), self._use_locking))

  def swap_weights(self, variables: Sequence[tf.Variable]) -> None:
    """Swaps the slow weights with the model's, bit by bit."""
    self._create_all_weights(variables)

    def swap(fast, slow):
      kept = tf.identity(fast)
      fast.assign(slow)
      slow.assign(kept)

    self._update(variables, swap)

  def settle(self, variables: Sequence[tf.Variable]) -> None:
    """Sets the slow weights to the model's."""
    self._update(variables, lambda fast, slow: slow.assign(fast))

  def _update(self, variables, function) -> None:
    """Calls function(fast, slow) for all variables on their devices."""
    strategy = tf.distribute.get_strategy()
    for variable in variables:
      strategy.extended.update(
          variable, function, args=(self.get_slot(variable, 'slow'),))


_SHARED = 'lookahead'


def create_variables(optimizer, variables: Sequence[tf.Variable]) -> None:
  """Creates the variables of an optimizer before its first step.

  TensorFlow traces a function that creates variables twice.

  Args:
    optimizer: optimizer of `build_optimizer`, or a wrapper of one.
    variables: all variables that it trains.
  """
  optimizer._create_all_weights(variables)


def settle_slow_weights(
    optimizer, variables: Sequence[tf.Variable]) -> None:
  """Sets the slow weights of Lookahead to variables that learn no more."""
  optimizer = _without_loss_scale(optimizer)
  if isinstance(optimizer, _Lookahead):
    optimizer.settle(variables)


def swap_slow_weights(optimizer, variables: Sequence[tf.Variable]) -> None:
  """Swaps a model's weights with the slow ones of Lookahead, if it has any.

  Swapping twice changes nothing. If a run has averages, these are validated
  instead; the Model Garden's trainer swaps them.

  Args:
    optimizer: optimizer of `build_optimizer`, or a wrapper of one.
    variables: all variables that it trains.
  """
  optimizer = _without_loss_scale(optimizer)
  if isinstance(optimizer, _Lookahead):
    optimizer.swap_weights(variables)


def _without_loss_scale(optimizer):
  return getattr(optimizer, 'inner_optimizer', optimizer)
