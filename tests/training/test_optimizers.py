"""Schedules follow their formulas; each optimizer lowers a loss."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.layers.attention import layer as attention_layer
from axial_tf.training import optimizers


def test_warmup_is_linear_and_then_poly_decays_to_zero():
  settings = optimizers.OptimizerSettings(
      learning_rate=0.01, warmup_steps=10, decay_power=0.9)
  schedule = optimizers.build_schedule(settings, train_steps=100)
  rates = np.array([float(schedule(step)) for step in range(101)])
  poly = 0.01 * (1 - np.arange(101) / 100) ** 0.9
  np.testing.assert_allclose(
      rates[:10], poly[10] * np.arange(10) / 10, rtol=1e-5)
  np.testing.assert_allclose(rates[10:], poly[10:], rtol=1e-5, atol=1e-9)


def test_cosine_decay_ends_at_the_end_rate():
  settings = optimizers.OptimizerSettings(
      learning_rate=0.4, warmup_steps=10, decay='cosine',
      end_learning_rate=0.1)
  schedule = optimizers.build_schedule(settings, train_steps=100)
  rates = np.array([float(schedule(step)) for step in range(120)])
  share = (1 + np.cos(np.pi * np.minimum(np.arange(120) / 100, 1))) / 2
  np.testing.assert_allclose(
      rates[10:], 0.1 + 0.3 * share[10:], rtol=1e-4)
  np.testing.assert_allclose(
      rates[:10], rates[10] * np.arange(10) / 10, rtol=1e-4)


def test_constant_rate_stays():
  settings = optimizers.OptimizerSettings(learning_rate=0.1, decay='constant')
  schedule = optimizers.build_schedule(settings, train_steps=5)
  np.testing.assert_allclose(
      [float(schedule(step)) for step in (0, 5, 50)], 0.1)


@pytest.mark.parametrize('name', ['radam_lookahead', 'adam', 'sgd'])
def test_each_optimizer_minimizes_a_quadratic(name):
  settings = optimizers.OptimizerSettings(
      name=name, learning_rate=0.1, warmup_steps=5)
  optimizer = optimizers.build_optimizer(settings, train_steps=600)
  x = tf.Variable([1.0, -2.0])
  for _ in range(600):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(x ** 2)
    optimizer.apply_gradients([(tape.gradient(loss, x), x)])
  assert float(tf.reduce_max(tf.abs(x))) < 0.1


def test_lookahead_steps_back_half_way_at_each_synchronization():
  """After k steps the weights are the mean of the slow and the fast ones."""
  def trajectory(period):
    settings = optimizers.OptimizerSettings(
        learning_rate=0.1, decay='constant', lookahead_period=period)
    optimizer = optimizers.build_optimizer(settings, train_steps=10)
    x = tf.Variable([1.0])
    for _ in range(3):
      optimizer.apply_gradients([(tf.constant([1.0]), x)])
    return float(x[0])
  fast, synchronized = trajectory(period=100), trajectory(period=3)
  assert synchronized == pytest.approx((1.0 + fast) / 2)


@pytest.mark.parametrize('wrong', [
    dict(learning_rate=0.0), dict(warmup_steps=-1), dict(clip_norm=0.0),
    dict(lookahead_step_size=1.5), dict(name='lamb'),
    dict(name='adam', weight_decay=0.1)])
def test_wrong_settings_are_refused(wrong):
  with pytest.raises(errors.UserError):
    optimizers.OptimizerSettings(**wrong)


@pytest.mark.parametrize('weight_decay', [0.0, 0.01])
def test_the_lean_optimizers_take_the_steps_of_tensorflow_addons(weight_decay):
  settings = optimizers.OptimizerSettings(
      learning_rate=0.05, warmup_steps=3, lookahead_period=4, beta_2=0.99,
      weight_decay=weight_decay)
  ours = optimizers.build_optimizer(settings, train_steps=40)
  theirs = optimizers.tfa.optimizers.Lookahead(
      optimizers.tfa.optimizers.RectifiedAdam(
          optimizers.build_schedule(settings, 40), beta_2=0.99,
          weight_decay=weight_decay),
      sync_period=4)
  start = np.random.default_rng(0).normal(size=[2, 5]).astype(np.float32)
  first, second = [[tf.Variable(row, name='layer/kernel') for row in start]
                   for _ in range(2)]
  for step in range(20):
    for optimizer, variables in ((ours, first), (theirs, second)):
      gradients = [tf.sin(3 * v + step) for v in variables]
      optimizer.apply_gradients(zip(gradients, variables))
  for ours_now, theirs_now in zip(first, second):
    np.testing.assert_allclose(ours_now, theirs_now, rtol=1e-6, atol=1e-6)
  assert not np.allclose(first[0], start[0], atol=0.01)


def test_the_graph_of_a_step_stays_small():
  variables = [tf.Variable(tf.ones([3])) for _ in range(50)]
  optimizer = optimizers.build_optimizer(
      optimizers.OptimizerSettings(), train_steps=10)

  @tf.function
  def step():
    optimizer.apply_gradients([(tf.ones([3]), v) for v in variables])

  operations = step.get_concrete_function().graph.get_operations()
  assert len(operations) < 25 * len(variables)


def test_sgd_decays_kernels_and_nothing_else(two_replicas):
  """Two replicas that see no loss: kernels shrink as if there was one."""
  settings = optimizers.OptimizerSettings(
      name='sgd', learning_rate=0.5, decay='constant', momentum=0.0,
      weight_decay=0.1)
  with two_replicas.scope():
    optimizer = optimizers.build_optimizer(settings, train_steps=10)
    layer = attention_layer.AxialAttention(8, 16, heads=2)
    layer(tf.ones([1, 5, 16]))
    conv = tf.keras.layers.DepthwiseConv2D(3)
    conv(tf.ones([1, 5, 5, 2]))
    conv.bias.assign([1.0, 2.0])
  variables = layer.trainable_variables + conv.trainable_variables
  before = {v.name: v.numpy() for v in variables}

  @tf.function
  def step():
    gradients = [tf.zeros(v.shape) for v in variables]
    optimizer.apply_gradients(zip(
        optimizers.add_decay(gradients, variables, settings), variables),
        experimental_aggregate_gradients=False)

  two_replicas.run(step)
  changed = {name.split('/')[-1] for name, value in before.items()
             if not np.array_equal(value, _named(variables, name))}
  assert changed == {'qkv_kernel:0', 'depthwise_kernel:0'}
  for name, value in before.items():
    factor = 0.95 if 'kernel' in name else 1.0
    np.testing.assert_allclose(
        _named(variables, name), factor * value, rtol=1e-6)


def test_only_kernels_decay_with_the_rectified_adam(two_replicas):
  settings = optimizers.OptimizerSettings(
      learning_rate=0.5, decay='constant', weight_decay=0.1)
  with two_replicas.scope():
    optimizer = optimizers.build_optimizer(settings, train_steps=10)
    variables = [tf.Variable([1.0, 2.0], name=f'layer/{name}')
                 for name in ('kernel', 'bias', 'gamma', 'qkv_table')]

  @tf.function
  def step():
    optimizer.apply_gradients(
        [(tf.zeros([2]), variable) for variable in variables],
        experimental_aggregate_gradients=False)

  two_replicas.run(step)
  for variable, factor in zip(variables, (0.95, 1, 1, 1)):
    for copy in two_replicas.experimental_local_results(variable):
      np.testing.assert_allclose(copy, [factor, 2 * factor], rtol=1e-6)


def _named(variables, name):
  return next(v.numpy() for v in variables if v.name == name)
