"""Schedules follow their formulas; each optimizer lowers a loss."""

import importlib.util
import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors, keras2
from axial_tf.keras2 import keras
from axial_tf.layers.attention import layer as attention_layer
from axial_tf.training import optimizer_bases, optimizers


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


@pytest.mark.parametrize('settings', [
    {}, {'name': 'adam'}, {'name': 'sgd'}, {'average_decay': 0.9}], ids=str)
def test_a_step_is_traced_once(settings):
  model = keras.Sequential([keras.layers.Dense(2, input_shape=[1])])
  optimizer = optimizers.build_optimizer(
      optimizers.OptimizerSettings(**settings), train_steps=10)
  if isinstance(optimizer, optimizers.Averaging):
    optimizer.shadow_copy(model)  # As the Model Garden's trainer does.
  optimizers.create_variables(optimizer, model.trainable_variables)

  @tf.function
  def step():
    optimizer.apply_gradients(
        [(tf.ones_like(x), x) for x in model.trainable_variables])

  for _ in range(2):
    step()
  assert step.experimental_get_tracing_count() == 1


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


@pytest.fixture(params=['addons', 'own'])
def module(request):
  """The module of optimizers on either base, as far as this TensorFlow has it.

  tensorflow-addons do not exist for TensorFlow 2.16 and later.
  """
  if request.param == 'addons':
    if not keras2.IS_TF_2_15:
      pytest.skip('tensorflow-addons need TensorFlow 2.15')
    return optimizers
  return _on_own_bases()


def _on_own_bases():
  spec = importlib.util.spec_from_file_location(
      'own_optimizers', optimizers.__file__)
  module = importlib.util.module_from_spec(spec)
  sys.modules[spec.name] = module
  with mock.patch.object(keras2, 'IS_TF_2_15', False):
    spec.loader.exec_module(module)
  assert module.bases is optimizer_bases
  return module


def _rectified_adam(rate, step, beta_2=0.99, beta_1=0.9, epsilon=1e-7):
  """Returns a function of m and v: the step of the paper's algorithm 2."""
  rho_inf = 2 / (1 - beta_2) - 1
  rho = rho_inf - 2 * step * beta_2 ** step / (1 - beta_2 ** step)
  if rho < 5:
    return lambda m, v: rate * m / (1 - beta_1 ** step)
  r = np.sqrt((rho - 4) * (rho - 2) * rho_inf
              / ((rho_inf - 4) * (rho_inf - 2) * rho))
  return lambda m, v: rate * r * m / (1 - beta_1 ** step) / (
      np.sqrt(v / (1 - beta_2 ** step)) + epsilon)


def test_steps_are_those_of_the_papers(module):
  settings = module.OptimizerSettings(
      learning_rate=0.05, warmup_steps=3, lookahead_period=4, beta_2=0.99)
  optimizer = module.build_optimizer(settings, train_steps=60)
  schedule = module.build_schedule(settings, train_steps=60)
  start = np.random.default_rng(0).normal(size=5)
  variable = tf.Variable(start, dtype=tf.float32)
  fast, slow, m, v = start.copy(), start.copy(), 0.0, 0.0
  for step in range(1, 51):
    optimizer.apply_gradients([(tf.sin(3 * variable + step), variable)])
    gradient = np.sin(3 * fast + step)
    m = 0.9 * m + 0.1 * gradient
    v = 0.99 * v + 0.01 * gradient ** 2
    fast -= _rectified_adam(float(schedule(step - 1)), step)(m, v)
    if step % 4 == 0:
      slow += 0.5 * (fast - slow)
      fast = slow.copy()
  np.testing.assert_allclose(variable, fast, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(
    not keras2.IS_TF_2_15, reason='tensorflow-addons need TensorFlow 2.15')
@pytest.mark.parametrize('weight_decay', [0.0, 0.01])
def test_both_bases_take_the_steps_of_tensorflow_addons(weight_decay):
  settings = optimizers.OptimizerSettings(
      learning_rate=0.05, warmup_steps=3, lookahead_period=4, beta_2=0.99,
      weight_decay=weight_decay)
  own = _on_own_bases()
  built = [
      optimizers.build_optimizer(settings, train_steps=60),
      own.build_optimizer(settings, train_steps=60),
      optimizers.bases.Lookahead(
          optimizers.bases.RectifiedAdam(
              optimizers.build_schedule(settings, 60), beta_2=0.99,
              weight_decay=weight_decay),
          sync_period=4)]
  start = np.random.default_rng(0).normal(size=[2, 5]).astype(np.float32)
  trained = [[tf.Variable(row, name='layer/kernel') for row in start]
             for _ in built]
  for step in range(50):
    for optimizer, variables in zip(built, trained):
      gradients = [tf.sin(3 * v + step) for v in variables]
      optimizer.apply_gradients(zip(gradients, variables))
  *ours, theirs = np.array(trained)
  for found in ours:
    np.testing.assert_allclose(found, theirs, rtol=1e-6, atol=1e-6)
  np.testing.assert_array_equal(*ours)
  assert not np.allclose(theirs, start, atol=0.01)


@pytest.mark.skipif(
    not keras2.IS_TF_2_15, reason='tensorflow-addons need TensorFlow 2.15')
def test_both_bases_have_the_same_checkpoints(tmp_path):
  settings = optimizers.OptimizerSettings(beta_2=0.99)

  def checkpoint(module):
    model = tf.Module()
    model.kernel = tf.Variable([1.0, 2.0], name='layer/kernel')
    optimizer = module.build_optimizer(settings, train_steps=60)
    return tf.train.Checkpoint(model=model, optimizer=optimizer)

  def train(trained):
    for _ in range(7):
      trained.optimizer.apply_gradients(
          [(tf.sin(trained.model.kernel), trained.model.kernel)])

  modules = optimizers, _on_own_bases()
  for saving, restoring in (modules, modules[::-1]):
    first = checkpoint(saving)
    train(first)
    path = first.write(str(tmp_path / saving.__name__))
    second = checkpoint(restoring)
    status = second.read(path)
    train(first)
    train(second)
    status.assert_consumed()
    np.testing.assert_array_equal(first.model.kernel, second.model.kernel)


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
    conv = keras.layers.DepthwiseConv2D(3)
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
