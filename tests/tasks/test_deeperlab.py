"""DeeperLab as a panoptic task: it trains, validates, draws, and exports."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.panoptic import training_batch
from axial_tf.experiment import config
from axial_tf.export import saved_model
from axial_tf.tasks import panoptic
from axial_tf.training import optimizers
from axial_tf.visualize import head_pictures

_FILES = ['experiments/demo.gin', 'models/deeperlab_small_images.gin']
_TINY = ["RECORDS = '/nowhere'", 'BLOCKS = (1, 1, 1, 1)', 'WIDTH = 0.125',
         'DECODER_CHANNELS = 4', 'WARMUP_STEPS = 0',
         'DeeperLabDecodingSettings.max_instances = 8']
_SIDE = 65


@pytest.fixture(scope='module')
def task():
  experiment = config.parse(_FILES, _TINY)
  return panoptic.PanopticTask(
      experiment.task, dataclasses.replace(experiment.run, train_steps=1000),
      optimizers.OptimizerSettings(name='adam', learning_rate=5e-3))


@pytest.fixture(scope='module')
def model(task):
  return task.build_model()


@pytest.fixture(scope='module')
def label(task):
  """Stuff and two things of one class."""
  thing = task.spec.thing_ids[0] * task.spec.label_divisor
  label = np.full([_SIDE, _SIDE],
                  task.spec.stuff_ids[0] * task.spec.label_divisor, np.int32)
  label[8:40, 5:25], label[20:60, 35:60] = thing + 1, thing + 2
  return label


@pytest.fixture(scope='module')
def image(label):
  gray = np.unique(label, return_inverse=True)[1].reshape(label.shape) * 100
  return gray.astype(np.uint8)[..., np.newaxis].repeat(3, -1)


@pytest.fixture(scope='module')
def targets(task, label, image):
  example = training_batch.pack(
      tf.constant(image), tf.constant(label),
      tf.constant([0, 0, _SIDE, _SIDE]), task.spec,
      task._settings.data.targets)
  return {key: tf.stack([value] * 2) for key, value in example.items()}


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_report_its_parts(
    task, model, targets):
  optimizer = task.create_optimizer(None)
  metrics = task.build_metrics(training=True)
  step = tf.function(
      lambda batch: task.train_step(batch, model, optimizer, metrics)['loss'])
  losses = [float(step(targets)) for _ in range(12)]
  assert losses[-1] < 0.6 * losses[0]
  values = {m.name: float(m.result()) for m in metrics}
  assert values.pop('gradient_norm') > 0
  assert values.keys() == {
      'semantic_loss', 'heatmap_loss', 'long_loss', 'short_loss',
      'middle_loss'}
  assert all(value > 0 for value in values.values())
  assert sum(values.values()) == pytest.approx(np.mean(losses), rel=1e-3)


def test_validation_scores_pq_and_parsing_covering(task, model, label, image):
  inputs = {
      'image': image[np.newaxis], 'panoptic': label[np.newaxis],
      **{key: np.array([_SIDE], np.int32) for key in (
          'height', 'width', 'raw_height', 'raw_width')},
      'place': np.zeros([1], np.int64)}
  outputs = task.validation_step(
      {key: tf.constant(value) for key, value in inputs.items()}, model)
  state = task.aggregate_logs(
      None, {key: (value,) for key, value in outputs.items()})
  result = task.reduce_aggregated_logs(state)
  assert 0 <= result['pq'] <= 1 and 0 <= result['pc'] <= 1
  assert 'PC ' in task.validation_table


def test_pictures_show_keypoints_and_offsets(task, targets, label, image):
  maps = training_batch.unpack(
      targets, task.spec, task._settings.data.targets, 'edge')
  heads = {key: value[0].numpy() for key, value in maps.items()}
  pictures = head_pictures.draw(
      image, label % task.spec.label_divisor > 0, heads, (_SIDE, _SIDE))
  assert tuple(pictures) == head_pictures.names(heads) == (
      'heatmap', 'offsets', 'short_offsets')
  heat, offsets, short = (
      picture[:_SIDE, :_SIDE].astype(int) for picture in pictures.values())
  # The disk at a corner is warm; far from all keypoints there is no heat.
  assert heat[8, 5, 0] > heat[8, 5, 2] + 50
  assert np.ptp(heat[62, 4]) == 0
  # Both sides of a center have different colors, as have those of a corner.
  assert np.abs(offsets[24, 6] - offsets[24, 23]).max() > 100
  assert np.ptp(short[62, 4]) == 0  # There is no disk.
  assert np.abs(short[3, 5] - short[12, 5]).max() > 50


@pytest.mark.slow
def test_an_export_has_core_operations_only_and_predicts_the_same(
    task, image, tmp_path):
  inference = task._inference
  saved_model.export_saved_model(inference, str(tmp_path))
  loaded = tf.saved_model.load(os.path.join(tmp_path, '1'))
  wanted = inference.predict(tf.constant(image[np.newaxis]))
  got = loaded.signatures['image_tensor'](
      image_tensor=tf.constant(image[np.newaxis]))
  np.testing.assert_array_equal(got['panoptic_map'], wanted['panoptic_map'])
  heads = loaded.signatures['heads'](
      image_tensor=tf.constant(image[np.newaxis]))
  assert set(heads) == {'semantic_probabilities', *inference.decoding.HEADS}
  graph = loaded.signatures['serving_default'].graph.as_graph_def()
  used = {node.op for node in graph.node} | {
      node.op for function in graph.library.function
      for node in function.node_def}
  assert not any('PyFunc' in name or 'Numpy' in name for name in used)


@pytest.mark.parametrize('binding, message', [
    ('PanopticTaskSettings.losses = @LossSettings()', 'DeeperLabLossSettings'),
    ('PanopticDataSettings.targets = @TargetSettings()',
     'KeypointTargetSettings'),
    ('PanopticTaskSettings.merging = @MergingSettings()',
     'DeeperLabDecodingSettings')])
def test_settings_of_another_network_are_one_line(binding, message):
  with pytest.raises(errors.UserError, match=f'expected @{message}') as error:
    config.parse(_FILES, [*_TINY[:1], binding])
  assert '\n' not in str(error.value)
