"""The panoptic task: losses fall, and validation scores what it should."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.panoptic import training_batch
from axial_tf.evaluation import panoptic_quality
from axial_tf.experiment import config
from axial_tf.keras2 import keras
from axial_tf.panoptic import merging, targets
from axial_tf.tasks import panoptic
from axial_tf.training import optimizers
from tests import programs

# Without attention, whose graph is slow to build.
_TINY = ["variant_settings.spatial = 'convolution'",
         "RECORDS = '/nowhere'", 'BLOCKS = (1, 1, 1, 1)', 'WIDTH = 0.125',
         'HEADS = 2', 'WARMUP_STEPS = 0']


def _task(*bindings):
  experiment = config.parse(['experiments/demo.gin'], [*_TINY, *bindings])
  return panoptic.PanopticTask(
      experiment.task,
      dataclasses.replace(experiment.run, train_steps=1000),
      optimizers.OptimizerSettings(name='adam', learning_rate=3e-3))


@pytest.fixture(scope='module')
def task():
  return _task()


def _batch(task, right=None, settings=None):
  """Two images whose left half is one stuff class and right half another.

  `right` is another label of the right half.
  """
  side = 33
  left, other = (
      number * task.spec.label_divisor for number in task.spec.stuff_ids[:2])
  panoptic = np.full([side, side], left, np.int32)
  panoptic[:, side // 2:] = other if right is None else right
  image = np.where(panoptic[..., None] == left, 64, 191).astype(np.uint8)
  example = training_batch.pack(
      tf.constant(np.repeat(image, 3, -1)), tf.constant(panoptic),
      tf.constant([0, 0, side, side]), task.spec,
      settings or targets.TargetSettings())
  return {key: tf.stack([value] * 2) for key, value in example.items()}


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_report_its_parts(task):
  model = task.build_model()
  optimizer = task.create_optimizer(None)
  metrics = task.build_metrics(training=True)
  step = tf.function(
      lambda batch: task.train_step(batch, model, optimizer, metrics)['loss'])
  batch = _batch(task)
  losses = [float(step(batch)) for _ in range(12)]
  assert losses[-1] < 0.5 * losses[0]
  values = {m.name: float(m.result()) for m in metrics}
  assert values.pop('gradient_norm') > 0
  assert values.keys() == {'semantic_loss', 'center_loss', 'offset_loss'}
  assert sum(values.values()) == pytest.approx(np.mean(losses), rel=1e-3)


@pytest.mark.slow
def test_every_weight_of_the_network_gets_a_gradient():
  task = _task("variant_settings.spatial = 'axial'")
  model = task.build_model()
  before = [v.numpy() for v in model.trainable_variables]
  # Fresh residual branches end in a gamma of 0: two steps reach behind it.
  optimizer = keras.optimizers.legacy.Adam(1e-2)
  batch = _batch(
      task, right=task.spec.thing_ids[0] * task.spec.label_divisor + 1)
  for _ in range(3):
    task.train_step(batch, model, optimizer)
  still = [v.name for v, b in zip(model.trainable_variables, before)
           if np.array_equal(v, b)]
  # The shift of the logits drops out of the softmax (paper notes).
  assert all('logit_norm/beta' in name for name in still), still


# Gin names of the options for small and touching instances.
_FINE = [
    'PanopticDeepLabSettings.heads_stride = 2',
    'PanopticTaskSettings.losses = @LossSettings()',
    'LossSettings.boundary_weight = 3.0',
    'PanopticDataSettings.targets = @TargetSettings()',
    'TargetSettings.sigma_by_size = 0.5',
    'AugmentationSettings.vertical_flip = True',
    'AugmentationSettings.quarter_turns = True']


@pytest.mark.slow
def test_options_for_small_and_touching_instances_train():
  task = _task(*_FINE)
  settings = task._settings
  assert settings.data.augmentation.quarter_turns
  model = task.build_model()
  optimizer = task.create_optimizer(None)
  thing = task.spec.thing_ids[0] * task.spec.label_divisor
  step = tf.function(
      lambda batch: task.train_step(batch, model, optimizer)['loss'])
  batch = _batch(task, thing + 1, settings.data.targets)
  losses = [float(step(batch)) for _ in range(8)]
  assert losses[-1] < 0.7 * losses[0]


def test_padding_does_not_count_and_sizes_are_restored(task):
  stuff = task.spec.stuff_ids[0] * task.spec.label_divisor
  truth = np.full([1, 12, 12], task.spec.void_label, np.int32)
  truth[0, :8, :10] = stuff
  prediction = np.full([1, 6, 6], task.spec.void_label, np.int32)
  prediction[0, :4, :5] = stuff  # Half the size, as after `max_long_side`.
  logs = {'panoptic': truth, 'prediction': prediction, 'height': [4],
          'width': [5], 'raw_height': [8], 'raw_width': [10], 'place': [0]}
  state = task.aggregate_logs(
      None, {key: (tf.constant(value),) for key, value in logs.items()})
  result = task.reduce_aggregated_logs(state)
  assert result['pq_stuff'] == result['pc'] == 1.0 and result['miou'] > 0
  assert 'stuff' in task.validation_table


@pytest.mark.parametrize('padding, mode', [
    ('edge', 'edge'), ('gray', 'constant')])
def test_smaller_images_of_a_batch_are_padded_as_the_model_pads(padding, mode):
  settings = config.parse(['experiments/demo.gin'], [
      *_TINY, f"PanopticDeepLabSettings.padding = '{padding}'"]).task
  task = panoptic.PanopticTask(
      settings, config.parse(['experiments/demo.gin'], _TINY).run,
      optimizers.OptimizerSettings())
  model = task.build_model()
  image = np.random.default_rng(0).integers(0, 256, [20, 26, 3]) / 127.5 - 1
  margins = [(0, 13), (0, 7), (0, 0)]
  batch = np.full([2, 33, 33, 3], 255, np.uint8)
  batch[0, :20, :26] = np.round((image + 1) * 127.5)
  truth = tf.zeros([2, 33, 33], tf.int32)
  size = {'height': [20, 33], 'width': [26, 33],
          'raw_height': [20, 33], 'raw_width': [26, 33],
          'place': tf.constant([0, 1], tf.int64)}
  logs = task.validation_step({
      'image': tf.constant(batch), 'panoptic': truth,
      **{key: tf.constant(value) for key, value in size.items()}}, model)
  expected = model(tf.constant(np.pad(image, margins, mode)[None], tf.float32))
  np.testing.assert_allclose(
      logs['center_heatmap'][0], expected['center_heatmap'][0], atol=1e-5)


@pytest.mark.slow
def test_compiled_validation_equals_any_other():
  rng = np.random.default_rng(0)
  results, weights = [], None
  for mode in ('always', 'never'):
    task = _task(
        f"RunSettings.compile = '{mode}'",
        'RunSettings.validation_batch_size = 2',
        'PanopticDataSettings.validation_size = (33, 33)')
    model = task.build_model()
    weights = weights or [
        w + 0.1 * np.abs(rng.normal(size=w.shape)) for w in model.get_weights()]
    model.set_weights(weights)
    step = tf.function(
        lambda inputs, task=task, model=model: task.validation_step(
            inputs, model), autograph=False, input_signature=[{
                'image': tf.TensorSpec([None, 33, 33, 3], tf.uint8),
                'panoptic': tf.TensorSpec([None, 33, 33], tf.int32),
                'place': tf.TensorSpec([None], tf.int64),
                **{key: tf.TensorSpec([None], tf.int32) for key in (
                    'height', 'width', 'raw_height', 'raw_width')}}])
    assert bool(programs.compiled(step.get_concrete_function().graph)) == (
        mode == 'always')
    image = np.random.default_rng(1).integers(0, 256, [2, 33, 33, 3], np.uint8)
    sizes = {key: [20, 33] for key in (
        'height', 'width', 'raw_height', 'raw_width')}
    batch = {'image': image, 'panoptic': np.zeros([2, 33, 33], np.int32),
             'place': np.int64([0, 1]), **sizes}
    # The last share of a replica may be smaller, or empty.
    dtypes = {key: spec.dtype for key, spec in step.input_signature[0].items()}
    results.append([
        step({key: tf.constant(value, dtypes[key])[:count]
              for key, value in batch.items()}) for count in (2, 1, 0)])
  for count, compiled, expected in zip((2, 1, 0), *results):
    assert compiled['prediction'].shape == (count, 33, 33)
    for key in ('center_heatmap', 'offset'):
      np.testing.assert_allclose(
          compiled[key], expected[key], rtol=1e-4, atol=1e-4)
    assert np.sum(compiled['prediction'] != expected['prediction']) <= 10


def test_validation_of_any_size_is_not_compiled():
  task = _task("RunSettings.compile = 'always'")
  with pytest.raises(errors.UserError, match=(
      "RunSettings.compile: expected 'auto' or 'never' .* set "
      'PanopticDataSettings.validation_size')):
    task.build_inputs('validation')


def test_replicas_and_steps_add_up(task):
  rng = np.random.default_rng(0)
  labels = [c.train_id * task.spec.label_divisor + c.is_thing
            for c in task.spec.categories]
  images = rng.choice(labels, [4, 2, 9, 9]).astype(np.int32)
  direct = panoptic_quality.PanopticQuality(task.spec)
  state = None
  for half in (images[:2], images[2:]):
    replicas = {
        'panoptic': [half[0][:1], half[1][:1]],
        'prediction': [half[0][1:], half[1][1:]],
        **{key: [[9], [9]] for key in (
            'height', 'width', 'raw_height', 'raw_width', 'place')}}
    state = task.aggregate_logs(state, {
        key: tuple(map(tf.constant, value))
        for key, value in replicas.items()})
    for truth, prediction in half:
      direct.update(truth, prediction)
  result = task.reduce_aggregated_logs(state)
  assert result['pq'] == direct.result()['all']['pq']


def test_instance_ap_on_request(task):
  """Scores of padded images through validation step and metric."""
  settings = dataclasses.replace(
      task.task_config, instance_ap=True,
      merging=merging.MergingSettings(center_threshold=0.0, max_centers=4))
  task = panoptic.PanopticTask(
      settings, config.parse(['experiments/demo.gin'], _TINY).run,
      optimizers.OptimizerSettings())
  model = task.build_model()
  thing = task.spec.thing_ids[0] * task.spec.label_divisor
  truth = np.full([2, 33, 33], task.spec.void_label, np.int32)
  truth[:, 2:20, 3:20] = thing + 1
  image = np.random.default_rng(0).integers(0, 255, [2, 33, 33, 3])
  size = tf.constant([33, 20])
  logs = task.validation_step({
      'image': tf.constant(image, tf.uint8), 'panoptic': tf.constant(truth),
      'height': size, 'width': size, 'raw_height': size, 'raw_width': size,
      'place': tf.constant([0, 1], tf.int64)}, model)
  state = task.aggregate_logs(None, {k: (v,) for k, v in logs.items()})
  assert 0 <= task.reduce_aggregated_logs(state)['ap'] <= 1

  # A prediction that equals the truth, with any scores, is perfect.
  perfect = {
      **logs, 'prediction': tf.constant(truth),
      'segment_ids': tf.constant([[thing + 1, 0]] * 2),
      'segment_scores': tf.constant([[0.3, 0.0], [0.2, 0.0]]),
      'num_segments': tf.constant([1, 1])}
  state = task.aggregate_logs(None, {k: (v,) for k, v in perfect.items()})
  result = task.reduce_aggregated_logs(state)
  assert result['ap'] == result['ap_small'] == pytest.approx(1.0)
  assert 'ap_large' not in result
  assert 'AP 100.00' in task.validation_table
