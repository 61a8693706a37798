"""DeeperLab and SSAP learn alike on one device and on two."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.data.panoptic import training_batch
from axial_tf.experiment import config
from axial_tf.tasks import panoptic
from axial_tf.training import optimizers

_SIDE, _BATCH = 65, 4
_RUNS = {
    'deeperlab': (
        ['experiments/camvid_deeperlab.gin'], ['DECODER_CHANNELS = 4']),
    # Which easy pixels are left out depends on the batch of a device.
    'ssap': (
        ['experiments/camvid_ssap.gin'],
        ['CHANNELS = 8', 'AffinityLossSettings.easy_drop_rate = 0.0']),
}
_TINY = ["RECORDS = '/nowhere'", 'BLOCKS = (1, 1, 1, 1)', 'WIDTH = 0.125',
         'STEM_WIDTH = 0.125', 'WARMUP_STEPS = 0']


def _train(name, strategy, weights):
  """Returns the losses of two steps, and the weights before and after."""
  files, bindings = _RUNS[name]
  experiment = config.parse(files, [*_TINY, *bindings])
  with strategy.scope():
    task = panoptic.PanopticTask(
        experiment.task, experiment.run, optimizers.OptimizerSettings(
            name='sgd', learning_rate=0.005, decay='constant'))
    model = task.build_model()
    optimizer = task.create_optimizer(None)
  if weights is not None:
    model.set_weights(weights)
  start = model.get_weights()
  examples = [_example(task, number) for number in range(_BATCH)]
  share = _BATCH // strategy.num_replicas_in_sync

  def values(context):
    first = context.replica_id_in_sync_group * share
    return {key: tf.stack([e[key] for e in examples[first:first + share]])
            for key in examples[0]}

  batch = strategy.experimental_distribute_values_from_function(values)
  step = tf.function(lambda batch: strategy.run(
      lambda inputs: task.train_step(inputs, model, optimizer)['loss'],
      [batch]))
  losses = [float(strategy.reduce('MEAN', step(batch), axis=None))
            for _ in range(2)]
  return losses, start, model.trainable_variables


def _example(task, number):
  """An image whose label has stuff, and two things that touch."""
  spec = task.spec
  label = np.full(
      [_SIDE, _SIDE], spec.stuff_ids[0] * spec.label_divisor, np.int32)
  thing = spec.thing_ids[0] * spec.label_divisor
  label[8:40, 4 + number:30], label[8:40, 30:60] = thing + 1, thing + 2
  image = np.random.default_rng(number).integers(
      0, 256, [_SIDE, _SIDE, 3], np.uint8)
  return training_batch.pack(
      tf.constant(image), tf.constant(label),
      tf.constant([0, 0, _SIDE, _SIDE]), spec, task._settings.data.targets)


@pytest.mark.long
@pytest.mark.parametrize('name', list(_RUNS))
def test_two_replicas_learn_like_one(name, two_replicas):
  losses, start, one = _train(
      name, tf.distribute.OneDeviceStrategy('CPU:0'), None)
  others, _, two = _train(name, two_replicas, start)
  assert others[0] == pytest.approx(losses[0], rel=1e-5)
  np.testing.assert_allclose(others, losses, rtol=1e-3)
  assert abs(losses[0] - losses[1]) > 1e-3
  for left, right in zip(one, two):
    np.testing.assert_allclose(
        right.numpy(), left.numpy(), rtol=1e-3, atol=2e-4, err_msg=left.name)
