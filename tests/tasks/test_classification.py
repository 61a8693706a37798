"""The classification task: it learns, counts exactly, and checks its data."""

import dataclasses
import json

import numpy as np
from official.core import base_trainer, config_definitions
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from axial_tf import devices, errors
from axial_tf.experiment import config
from axial_tf.keras2 import keras
from axial_tf.tasks import classification
from tests import tiny_classes


def _experiment(records, *bindings):
  return config.parse(['experiments/cifar10_axial_resnet.gin'], [
      f"RECORDS = '{records}'", *tiny_classes.BINDINGS, *bindings])


def _task(records, *bindings):
  experiment = _experiment(records, *bindings)
  return classification.ClassificationTask(
      experiment.task, experiment.run, experiment.optimizer)


@pytest.fixture(scope='module')
def records(tmp_path_factory):
  return tiny_classes.write(tmp_path_factory.mktemp('colors'))


def test_a_few_steps_learn_the_colors(records):
  keras.utils.set_random_seed(0)
  task = _task(
      records, 'ClassificationAugmentationSettings.label_smoothing = 0.0')
  model = task.build_model()
  optimizer = task.create_optimizer(None)
  metrics = task.build_metrics(training=True)
  step = tf.function(
      lambda batch: task.train_step(batch, model, optimizer, metrics)['loss'])
  losses = [float(step(batch))
            for batch in task.build_inputs('train').take(12)]
  assert losses[-1] < 0.5 * losses[0]
  values = {metric.name: float(metric.result()) for metric in metrics}
  assert values['cross_entropy'] == pytest.approx(np.mean(losses), rel=1e-4)
  assert 0 < values['top1'] <= 1


def test_the_smoothed_and_mixed_targets_are_learned(records):
  task = _task(records, 'ClassificationAugmentationSettings.mixup_alpha = 0.4')
  target = tf.constant([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
  logits = tf.constant([[1.0, 2.0, 0.0], [0.0, 1.0, 2.0]])
  values = task.training_values(
      {'image': None, 'target': target, 'label': tf.constant([0, 2])},
      lambda images, training: logits)
  expected = -np.sum(target * np.log(tf.nn.softmax(logits)), axis=1)
  np.testing.assert_allclose(values['total_loss'], expected, rtol=1e-5)
  np.testing.assert_array_equal(values['top1'], [0, 1])
  batch = next(iter(task.build_inputs('train')))
  np.testing.assert_allclose(tf.reduce_sum(batch['target'], 1), 1, rtol=1e-5)


def _validate(records, devices, batch_size, weights=None):
  """Scores of all images, and the model and task that gave them."""
  strategy = tf.distribute.MirroredStrategy(devices)
  with strategy.scope():
    task = _task(
        records, f'RunSettings.validation_batch_size = {batch_size}')
    model = task.build_model()
    if weights is not None:
      model.set_weights(weights)
    task_config = config_definitions.TaskConfig()
    task_config.train_data = task_config.validation_data = 'validation'
    trainer = base_trainer.Trainer(
        config_definitions.ExperimentConfig(task=task_config), task, model,
        keras.optimizers.legacy.SGD(), train=False, evaluate=True)
    scores = trainer.evaluate(tf.constant(-1))
  return ({k: float(v) for k, v in scores.items() if k != 'validation_loss'},
          model, task)


@pytest.mark.slow
def test_replicas_and_uneven_batches_do_not_matter(tmp_path):
  """With 5 images in batches of 4, one replica gets none in the last one."""
  records = tiny_classes.write(tmp_path, val=5)
  keras.utils.set_random_seed(1)
  one, model, task = _validate(records, ['CPU:0'], batch_size=5)
  two, _, _ = _validate(
      records, ['CPU:0', 'CPU:1'], 4, weights=model.get_weights())
  assert set(one) == set(two) == {'top1', 'cross_entropy'}
  assert two['top1'] == one['top1']
  assert two['cross_entropy'] == pytest.approx(one['cross_entropy'], rel=1e-5)
  assert task.validation_table.startswith('5 images: top-1')
  # The same from the logits, without the task.
  batch = next(iter(task.build_inputs('validation')))
  right = np.argmax(model(batch['image']), 1) == batch['label'].numpy()
  assert one['top1'] == np.mean(right)
  # As on GPUs, where XLA compiles the network for whole shares.
  with devices.target('gpu'):
    compiled, _, _ = _validate(
        records, ['CPU:0', 'CPU:1'], 4, weights=model.get_weights())
  assert compiled['cross_entropy'] == pytest.approx(
      one['cross_entropy'], rel=1e-5)


def test_a_head_of_another_size_is_refused_before_training(records):
  with pytest.raises(errors.UserError) as caught:
    _task(records, 'ClassificationTaskSettings.num_classes = 5')
  message = str(caught.value)
  assert 'num_classes' in message and 'got 5' in message
  assert 'NUM_CLASSES = 3' in message and '\n' not in message


def test_a_class_without_images_is_refused_before_training(tmp_path):
  task = _task(tiny_classes.write(tmp_path, train=2))
  with pytest.raises(errors.UserError, match="no training images.* 'n3'"):
    task.build_inputs('train')


def test_records_of_other_tools_need_the_classes(tmp_path):
  records = tiny_classes.write(tmp_path)
  (tmp_path / 'dataset_info.json').unlink()
  with pytest.raises(errors.UserError, match='dataset_info.json'):
    _task(records)
  path = tmp_path / 'classes.json'
  path.write_text(json.dumps(tiny_classes.SPEC.to_json()))
  task = _task(records, f"ClassificationTaskSettings.spec = '{path}'")
  assert task.spec == tiny_classes.SPEC
  assert next(iter(task.build_inputs('train')))['image'].shape == (
      8, 16, 16, 3)

  fewer = dataclasses.replace(
      tiny_classes.SPEC, classes=tiny_classes.SPEC.classes[:2])
  path.write_text(json.dumps(fewer.to_json()))
  task = _task(records, f"ClassificationTaskSettings.spec = '{path}'")
  with pytest.raises((errors.UserError, tf.errors.InvalidArgumentError),
                     match='label'):
    for batch in task.build_inputs('validation'):
      del batch


def test_data_of_tensorflow_datasets_trains_and_validates():
  with tfds.testing.mock_data(num_examples=9):
    task = _task('tfds:cifar10', "VALIDATION_SPLIT = 'test'",
                 'ClassificationTaskSettings.num_classes = 10')
    model = task.build_model()
    batch = next(iter(task.build_inputs('train')))
    logs = task.train_step(batch, model, task.create_optimizer(None))
    assert np.isfinite(logs['loss'])
    state = None
    for batch in task.build_inputs('validation'):
      logs = task.validation_step(batch, model)
      state = task.aggregate_logs(state, {k: [v] for k, v in logs.items()})
    assert set(task.reduce_aggregated_logs(state)) == {
        'top1', 'top5', 'cross_entropy'}
    assert task.validation_table.startswith('9 images')


def test_averages_are_refused_with_loss_scaling(records):
  with pytest.raises(errors.UserError, match='average_decay.*float16'):
    _task(records, 'OptimizerSettings.average_decay = 0.9',
          "RunSettings.mixed_precision = 'float16'")
