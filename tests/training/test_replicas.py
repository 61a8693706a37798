"""Training is the same however a batch is divided."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.experiment import config
from axial_tf.keras2 import keras
from axial_tf.layers import normalization
from axial_tf.tasks import registry
from tests import tiny_classes

_BINDINGS = (
    "OptimizerSettings.decay = 'constant'", 'OptimizerSettings.momentum = 0.5',
    'OptimizerSettings.clip_norm = 0.3', 'LEARNING_RATE = 0.05',
    'WARMUP_STEPS = 0')


@pytest.fixture(scope='module')
def records(tmp_path_factory):
  return tiny_classes.write(tmp_path_factory.mktemp('colors'))


@pytest.fixture(scope='module')
def train(records):
  """train(*bindings): losses and network after a few steps.

  All networks of one type start with the weights of the first one. The
  step of several replicas is traced, as in a run.
  """
  weights = {}

  def learn(*bindings, strategy=None, frozen=False):
    one = tf.distribute.OneDeviceStrategy('CPU:0')
    strategy = strategy or one
    experiment = config.parse(['experiments/cifar10_axial_resnet.gin'], [
        f"RECORDS = '{records}'", *tiny_classes.BINDINGS, *_BINDINGS,
        *bindings])
    policy = experiment.run.mixed_precision
    keras.mixed_precision.set_global_policy(
        policy if policy == 'float32' else f'mixed_{policy}')
    try:
      with strategy.scope():
        task = registry.build(
            experiment.task, experiment.run, experiment.optimizer)
        model = task.build_model()
        optimizer = task.create_optimizer(None)
    finally:
      keras.mixed_precision.set_global_policy('float32')
    kind = model.count_params()
    if kind not in weights:
      rng = np.random.default_rng(1)
      # Fresh residual branches end in a gamma of 0 and would not be seen.
      weights[kind] = [w + 0.1 * rng.uniform(0, 1, w.shape).astype(w.dtype)
                       for w in model.get_weights()]
    model.set_weights(weights[kind])
    if frozen:
      for layer in model._flatten_layers():
        if isinstance(layer, (normalization.MomentNormalization,
                              keras.layers.BatchNormalization)):
          layer.trainable = False

    def step(batch):
      return strategy.run(
          lambda inputs: task.train_step(inputs, model, optimizer)['loss'],
          [batch])

    if strategy is not one:
      step = tf.function(step)
    losses = []
    rng = np.random.default_rng(0)
    for _ in range(3):
      labels = rng.integers(0, 3, 8)
      batch = {
          'image': rng.normal(size=[8, 16, 16, 3]).astype(np.float32),
          'label': labels.astype(np.int32),
          'target': np.eye(3, dtype=np.float32)[labels]}
      size = 8 // strategy.num_replicas_in_sync
      replicas = strategy.experimental_distribute_values_from_function(
          lambda context, batch=batch, size=size: {
              key: tf.constant(
                  value[context.replica_id_in_sync_group * size:][:size])
              for key, value in batch.items()})
      losses.append(float(strategy.reduce('MEAN', step(replicas), axis=None)))
    return losses, model

  return learn


def _require_same(expected, actual):
  (losses, one), (other_losses, other) = expected, actual
  # Rounding grows from step to step; other statistics show in the first one.
  assert other_losses[0] == pytest.approx(losses[0], rel=1e-5)
  np.testing.assert_allclose(other_losses, losses, rtol=1e-3)
  assert abs(losses[0] - losses[-1]) > 1e-3
  for left, right in zip(one.trainable_variables, other.trainable_variables):
    np.testing.assert_allclose(
        right.numpy(), left.numpy(), rtol=1e-3, atol=2e-4, err_msg=left.name)


@pytest.mark.slow
@pytest.mark.parametrize('bindings', [
    (), (tiny_classes.AXIAL,)])
def test_two_replicas_learn_like_one(train, two_replicas, bindings):
  """With batch norms of all replicas, clipping and weight decay."""
  _require_same(train(*bindings), train(*bindings, strategy=two_replicas))


def test_accumulated_gradients_are_those_of_the_whole_batch(train):
  """Except for batch norms, which would see other batches."""
  unclipped = 'OptimizerSettings.clip_norm = None'  # It would hide a factor.
  _require_same(train(unclipped, frozen=True), train(
      unclipped, 'RunSettings.accumulate_steps = 4', frozen=True))


@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_mixed_precision_learns_nearly_the_same(train, precision):
  expected, _ = train()
  losses, model = train(f"RunSettings.mixed_precision = '{precision}'")
  np.testing.assert_allclose(losses, expected, rtol=0.05)
  assert {v.dtype for v in model.trainable_variables} == {tf.float32}


def test_statistics_are_those_of_all_replicas_by_default(
    two_replicas):
  settings = normalization.BatchNormSettings()
  assert not settings.synchronizes()
  assert not normalization.batch_norm(settings, name='one').synchronized
  with two_replicas.scope():
    assert settings.synchronizes()
    assert normalization.batch_norm(settings, name='two').synchronized
    assert not normalization.BatchNormSettings(
        synchronized=False).synchronizes()
