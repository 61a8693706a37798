"""Defines RectifiedAdam and Lookahead for TensorFlow without addons.

tensorflow-addons 0.23.0, its last release, cannot be imported next to
TensorFlow 2.16 and later. These classes have its names of hyperparameters and
slots, so that checkpoints of one are restored by the other; steps of dense
gradients are left to the subclasses in `optimizers`.

Sources: Liu et al., On the Variance of the Adaptive Learning Rate and Beyond
(arXiv 1908.03265); Zhang et al., Lookahead Optimizer (arXiv 1907.08610).
"""

import tensorflow as tf

from axial_tf.keras2 import keras


class RectifiedAdam(keras.optimizers.legacy.Optimizer):
  """Prepares the rates of a rectified Adam step."""

  def __init__(self, learning_rate, beta_2: float, weight_decay: float,
               name: str = 'RectifiedAdam', **options):
    """Sets the hyperparameters.

    Args:
      learning_rate: number or schedule.
      beta_2: decay of the second moments.
      weight_decay: decay of kernels, a share of the learning rate.
      name: name of the optimizer.
      **options: arguments of the legacy optimizer of Keras.
    """
    super().__init__(name, **options)
    for hyper, value in {
        'learning_rate': learning_rate, 'beta_1': 0.9, 'beta_2': beta_2,
        'decay': self._initial_decay, 'weight_decay': weight_decay,
        # The last three are of a warm-up of the addons that is not used here.
        'sma_threshold': 5.0, 'total_steps': 0.0, 'warmup_proportion': 0.1,
        'min_lr': 0.0}.items():
      self._set_hyper(hyper, value)
    self.epsilon = keras.backend.epsilon()
    self._has_weight_decay = weight_decay != 0

  def _create_slots(self, var_list):
    for slot in ('m', 'v'):
      for variable in var_list:
        self.add_slot(variable, slot)

  def _prepare_local(self, var_device, var_dtype, apply_state):
    """Adds rates and powers of the betas; letters as in the paper.

    rho is the length of the simple moving average that the second moment is
    worth, and r the factor that makes the variance of a step constant.
    """
    super()._prepare_local(var_device, var_dtype, apply_state)
    beta_1, beta_2, threshold, decay = (
        self._get_hyper(hyper, var_dtype)
        for hyper in ('beta_1', 'beta_2', 'sma_threshold', 'weight_decay'))
    step = tf.cast(self.iterations + 1, var_dtype)
    power = tf.pow(beta_2, step)
    rho_inf = 2 / (1 - beta_2) - 1
    rho = rho_inf - 2 * step * power / (1 - power)
    r = tf.sqrt((rho - 4) * (rho - 2) * rho_inf / (
        (rho_inf - 4) * (rho_inf - 2) * rho))
    apply_state[var_device, var_dtype].update(
        lr_t=self._decayed_lr(var_dtype), wd_t=decay, beta_1_t=beta_1,
        beta_1_power=tf.pow(beta_1, step), beta_2_power=power, r_t=r,
        epsilon_t=tf.convert_to_tensor(self.epsilon, var_dtype),
        sma_t_ge_sma_threshold=rho >= threshold)

  def get_config(self):
    return {**super().get_config(), **{
        hyper: self._serialize_hyperparameter(hyper)
        for hyper in ('learning_rate', 'beta_2', 'weight_decay')}}


class Lookahead(keras.optimizers.legacy.Optimizer):
  """Wraps an optimizer of fast weights; slow weights are its slots."""

  def __init__(self, optimizer, sync_period: int, slow_step_size: float,
               name: str = 'Lookahead', **options):
    """Sets the hyperparameters.

    Args:
      optimizer: legacy optimizer of the fast weights.
      sync_period: steps between two synchronizations.
      slow_step_size: share of the way that slow weights move then.
      name: name of the optimizer.
      **options: arguments of the legacy optimizer of Keras.
    """
    super().__init__(name, **options)
    self._optimizer = optimizer
    self._track_trackable(optimizer, 'lh_base_optimizer')
    self._set_hyper('sync_period', sync_period)
    self._set_hyper('slow_step_size', slow_step_size)

  @property
  def learning_rate(self):
    return self._optimizer.learning_rate

  @property
  def weights(self):
    return self._weights + self._optimizer.weights

  def apply_gradients(self, grads_and_vars, name=None, **options):
    self._optimizer._iterations = self.iterations  # One count of steps.
    return super().apply_gradients(grads_and_vars, name, **options)

  def _create_hypers(self):
    self._optimizer._create_hypers()

  def _create_slots(self, var_list):
    self._optimizer._create_slots(var_list)
    for variable in var_list:
      self.add_slot(variable, 'slow', initializer=variable)

  def _prepare(self, var_list):
    return self._optimizer._prepare(var_list)

  def get_config(self):
    return {**super().get_config(),
            'optimizer': keras.optimizers.serialize(self._optimizer),
            'sync_period': self._serialize_hyperparameter('sync_period'),
            'slow_step_size': self._serialize_hyperparameter('slow_step_size')}
