"""SSAP in the panoptic task: losses fall, validation scores and draws."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.panoptic import training_batch
from axial_tf.experiment import config
from axial_tf.panoptic.ssap import targets
from axial_tf.tasks import panoptic
from axial_tf.training import optimizers
from axial_tf.visualize import head_pictures

_FILE = 'experiments/camvid_ssap.gin'
_TINY = ["RECORDS = '/nowhere'", 'BLOCKS = (1, 1, 1, 1)', 'WIDTH = 0.125',
         'STEM_WIDTH = 0.125', 'CHANNELS = 16', 'WARMUP_STEPS = 0']
_SIDE = 65


@pytest.fixture(scope='module')
def task():
  experiment = config.parse([_FILE], _TINY)
  return panoptic.PanopticTask(
      experiment.task,
      dataclasses.replace(experiment.run, train_steps=1000),
      optimizers.OptimizerSettings(name='adam', learning_rate=5e-3))


def _label(spec):
  """Stuff, and two instances of one class that touch."""
  panoptic = np.full(
      [_SIDE, _SIDE], spec.stuff_ids[0] * spec.label_divisor, np.int32)
  thing = spec.thing_ids[0] * spec.label_divisor
  panoptic[12:52, 8:32] = thing + 1
  panoptic[12:52, 32:56] = thing + 2
  return panoptic


def _image(spec):
  panoptic = _label(spec)
  grey = np.select(
      [panoptic % spec.label_divisor == n for n in (0, 1)], [40, 130], 220)
  return np.repeat(grey[..., np.newaxis], 3, -1).astype(np.uint8)


@pytest.mark.slow
def test_a_few_steps_find_two_instances_that_touch(task):
  model = task.build_model()
  spec, optimizer = task.spec, task.create_optimizer(None)
  metrics = task.build_metrics(training=True)
  example = training_batch.pack(
      tf.constant(_image(spec)), tf.constant(_label(spec)),
      tf.constant([0, 0, _SIDE, _SIDE]), spec, targets.AffinityTargetSettings())
  batch = {key: tf.stack([value] * 2) for key, value in example.items()}
  step = tf.function(
      lambda batch: task.train_step(batch, model, optimizer, metrics)['loss'])
  losses = [float(step(batch)) for _ in range(60)]
  assert losses[-1] < 0.3 * losses[0]
  values = {m.name for m in metrics}
  assert values == {'semantic_loss', 'coarse_semantic_loss', 'affinity_loss',
                    'gradient_norm'}

  # Batch norm's averages lag behind in so few steps.
  heads = task._inference.decoding.heads(
      lambda images, size: model(images, training=True, output_size=size),
      tf.constant(_image(spec)[np.newaxis] / np.float32(127.5) - 1),
      task._settings.multi_scale)
  found = task._inference.decoding.merge(heads)['panoptic_map'][0].numpy()
  first, second = (np.unique(
      found[16:48, columns], return_counts=True)
      for columns in (slice(12, 28), slice(36, 52)))
  ids = [labels[counts.argmax()] for labels, counts in (first, second)]
  assert ids[0] != ids[1]
  assert {i // spec.label_divisor for i in ids} == {spec.thing_ids[0]}


def test_a_validation_step_returns_maps_and_what_pictures_need(task):
  model = task.build_model()
  image, label = _image(task.spec), _label(task.spec)
  one = tf.constant([_SIDE])
  inputs = {
      'image': tf.constant(image)[tf.newaxis],
      'panoptic': tf.constant(label)[tf.newaxis], 'height': one, 'width': one,
      'raw_height': one, 'raw_width': one,
      'place': tf.constant([0], tf.int64)}
  outputs = task.validation_step(inputs, model)
  assert outputs['prediction'].shape == (1, _SIDE, _SIDE)
  heads = {name: outputs[name][0].numpy()
           for name in task._inference.decoding.HEADS}
  drawn = head_pictures.draw(image, label > 0, heads, (_SIDE, _SIDE))
  assert tuple(drawn) == head_pictures.names(heads) == (
      'affinities', 'partitions')
  for picture in drawn.values():
    assert picture.dtype == np.uint8 and picture.shape[1] > 5 * _SIDE


def test_losses_of_another_network_are_refused():
  with pytest.raises(errors.UserError, match=(
      'losses: expected @AffinityLossSettings.* SSAPSettings, got Loss')):
    config.parse([_FILE], [
        *_TINY, 'PanopticTaskSettings.losses = @LossSettings()'])


def test_validation_on_a_tpu_is_refused_before_the_first_step():
  experiment = config.parse(
      [_FILE], [*_TINY, "RunSettings.strategy = 'tpu'"])
  task = panoptic.PanopticTask(
      experiment.task, experiment.run, experiment.optimizer)
  with pytest.raises(errors.UserError, match=(
      "RunSettings.strategy = 'tpu': .*SSAPSettings.*--mode=train")):
    task.build_inputs('validation')
