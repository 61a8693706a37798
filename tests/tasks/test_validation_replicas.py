"""One and two replicas give the same scores, also with an uneven last batch."""

import io
import json

import numpy as np
from official.core import base_trainer, config_definitions
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf.data.panoptic import records
from axial_tf.experiment import config
from axial_tf.keras2 import keras
from axial_tf.specs import dataset_spec
from axial_tf.tasks import panoptic


def _validate(records_pattern, spec, devices, weights=None):
  """Scores of all images, and the weights that gave them."""
  experiment = config.parse(['experiments/demo.gin'], [
      "RECORDS = '/nowhere'", f"SPEC = '{spec}'", 'BLOCKS = (1, 1, 1, 1)',
      'WIDTH = 0.125', 'HEADS = 2',
      'PanopticTaskSettings.instance_ap = True',
      f"PanopticDataSettings.validation_pattern = '{records_pattern}'",
      # Else each batch has its own padding, which the network sees.
      'PanopticDataSettings.validation_size = (50, 50)',
      'PanopticTaskSettings.merging = @MergingSettings()',
      'MergingSettings.center_threshold = 0.0',
      'MergingSettings.max_centers = 20',
      'MergingSettings.stuff_area_limit = 0',
      'RunSettings.validation_batch_size = 2'])
  strategy = tf.distribute.MirroredStrategy(devices)
  with strategy.scope():
    keras.utils.set_random_seed(0)
    task = panoptic.PanopticTask(
        experiment.task, experiment.run, experiment.optimizer)
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
          model.get_weights())


@pytest.mark.long
def test_an_odd_number_of_images_of_different_sizes(tmp_path):
  spec = dataset_spec.DatasetSpec.load('gin_configs/datasets/digits.json')
  rng = np.random.default_rng(0)
  with tf.io.TFRecordWriter(str(tmp_path / 'val.tfrecord')) as writer:
    for number, (height, width) in enumerate(
        [(40, 33), (33, 50), (33, 33), (48, 48), (35, 41)]):
      labels = np.full(
          [height, width], spec.stuff_ids[0] * spec.label_divisor, np.int32)
      labels[5:20, 8:25] = (spec.thing_ids[number] * spec.label_divisor + 1)
      labels[30:, :9] = spec.void_label
      buffer = io.BytesIO()
      Image.fromarray(rng.integers(
          0, 255, [height, width, 3], np.uint8)).save(buffer, 'PNG')
      writer.write(records.encode_panoptic_example(
          buffer.getvalue(), 'png', f'{number}.png', height, width, labels))
  path = tmp_path / 'spec.json'
  path.write_text(json.dumps(spec.to_json()))
  pattern = tmp_path / 'val.tfrecord'
  one, weights = _validate(pattern, path, ['CPU:0'])
  two, _ = _validate(pattern, path, ['CPU:0', 'CPU:1'], weights)
  assert set(one) == set(two) >= {'pq', 'miou', 'pixel_accuracy', 'ap'}
  for key, value in one.items():
    assert two[key] == pytest.approx(value, abs=1e-9), key
  assert one['pixel_accuracy'] > 0
