"""A validation's pictures reach the event file, once and at its step."""

import dataclasses
import io
import pickle

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import config
from axial_tf.specs import dataset_spec
from axial_tf.tasks import panoptic
from axial_tf.visualize.tensorboard import validation_pictures

_SPEC = dataset_spec.DatasetSpec(
    name='test', label_divisor=100, ignore_label=9, categories=(
        dataset_spec.Category(1, 0, 'road', False, (128, 64, 128)),
        dataset_spec.Category(2, 1, 'car', True, (0, 0, 142))))

_HEADS = ('center_heatmap', 'offset')


def _replica(brightness, height=60, width=200, raw=(30, 100)):
  """One image for each brightness, its place, in a batch with padding."""
  count = len(brightness)
  image = np.zeros([count, height + 3, width + 5, 3], np.uint8)
  for index, value in enumerate(brightness):
    image[index, :height, :width] = value
  panoptic_map = np.full([count, raw[0] + 7, raw[1] + 1], 900, np.int32)
  panoptic_map[:, :raw[0], :raw[1]] = 101
  size = image.shape[:3]
  logs = {
      'image': image, 'panoptic': panoptic_map,
      'prediction': np.full(size, 101, np.int32),
      'center_heatmap': np.zeros(size, np.float32),
      'offset': np.zeros([*size, 2], np.float32),
      'height': [height] * count, 'width': [width] * count,
      'raw_height': [raw[0]] * count, 'raw_width': [raw[1]] * count,
      'place': brightness}
  return {key: tf.constant(
      value if isinstance(value, np.ndarray) else np.array(value, np.int32))
          for key, value in logs.items()}


def _logs(*replicas):
  return {key: tuple(r[key] for r in replicas) for key in replicas[0]}


def _events(folder):
  """(step, tag, picture) of all images in a folder's event files."""
  found = []
  for file in sorted(folder.glob('events*')):
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
      event = tf.compat.v1.Event.FromString(record)
      for value in event.summary.value:
        if value.metadata.plugin_data.plugin_name == 'images':
          encoded = value.tensor.string_val[2]
          found.append((event.step, value.tag, np.asarray(
              Image.open(io.BytesIO(encoded)))))
  return found


def _write(folder, steps, count=3):
  writer = tf.summary.create_file_writer(str(folder))
  with writer.as_default():
    for step in steps:
      pictures = validation_pictures.ValidationPictures(_SPEC, count, _HEADS)
      pictures.add(_logs(_replica([10, 60]), _replica([])))
      pictures.add(_logs(_replica([110]), _replica([160])))
      pictures.add(_logs(_replica([210]), _replica([250])))
      pictures.write(tf.Variable(step, dtype=tf.int64))
  writer.close()
  return _events(folder)


def test_the_first_images_are_written_at_each_validation(tmp_path):
  events = _write(tmp_path, [5, 10])
  tags = [f'{name}/{n}' for n in (1, 2, 3) for name in ('segments', 'heads')]
  assert [(step, tag) for step, tag, _ in events] == [
      (step, tag) for step in (5, 10) for tag in tags]
  for before, after in zip(events[:6], events[6:]):
    np.testing.assert_array_equal(before[2], after[2])
  for (_, _, picture), brightness in zip(events[:6:2], (10, 60, 110)):
    # At the raw size, below a title.
    top = np.argmax((picture[:, 50] == brightness).all(-1))
    assert np.all(picture[top:top + 30, :100] == brightness)
    assert not np.all(picture[top - 1, :100] == brightness)


def test_large_images_are_shrunk(tmp_path):
  with tf.summary.create_file_writer(str(tmp_path)).as_default() as writer:
    pictures = validation_pictures.ValidationPictures(_SPEC, 1, _HEADS)
    pictures.add(_logs(_replica([90], raw=(500, 2000))))
    pictures.write(1)
    writer.flush()
  segments, heads = (picture for _, _, picture in _events(tmp_path))
  assert segments.shape[1] == 4 * 640 + 3 * 4
  assert heads.shape[1] == 2 * 640 + 4
  assert 160 <= segments.shape[0] < 260


def test_nothing_is_drawn_unless_requested(tmp_path, monkeypatch):
  monkeypatch.setattr(
      validation_pictures.ValidationPictures, '_draw', pytest.fail)
  assert not _write(tmp_path / 'none', [1], count=0)
  # Without a writer, as in a validation outside of a run.
  pictures = validation_pictures.ValidationPictures(_SPEC, 3, _HEADS)
  pictures.add(_logs(_replica([10])))
  pictures.write(1)


def test_the_first_images_of_all_workers_are_written(tmp_path):
  """However they are divided, and one worker may have none."""
  whole = _write(tmp_path / 'whole', [1])
  for number, parts in enumerate((
      ([250, 60], [10, 110, 210, 160]), ([], [250, 210, 160, 10, 60, 110]))):
    folder = tmp_path / str(number)
    with tf.summary.create_file_writer(str(folder)).as_default() as writer:
      workers = [validation_pictures.ValidationPictures(_SPEC, 6, _HEADS)
                 for _ in parts]
      for worker, part in zip(workers, parts):
        worker.add(_logs(_replica(part)))
      merged = pickle.loads(pickle.dumps(workers[0]))
      merged.merge(workers[1])
      merged._count = 3
      merged.keep_first()
      merged.write(1)
      writer.flush()
    events = _events(folder)
    assert [event[:2] for event in events] == [event[:2] for event in whole]
    for event, expected in zip(events, whole):
      np.testing.assert_array_equal(event[2], expected[2])


def _experiment(*bindings):
  return config.parse(['experiments/demo.gin'], [
      "variant_settings.spatial = 'convolution'",
      "RECORDS = '/nowhere'", 'BLOCKS = (1, 1, 1, 1)', 'WIDTH = 0.125',
      'HEADS = 2', *bindings])


def test_a_negative_number_is_refused():
  with pytest.raises(errors.UserError, match='tensorboard_images'):
    dataclasses.replace(_experiment().task, tensorboard_images=-1)


def test_the_task_draws_what_its_validation_returns(tmp_path):
  experiment = _experiment('PanopticTaskSettings.tensorboard_images = 1')
  task = panoptic.PanopticTask(
      experiment.task, experiment.run, experiment.optimizer)
  model = task.build_model()
  size = tf.constant([33, 20])
  truth = np.full([2, 33, 33], task.spec.void_label, np.int32)
  logs = task.validation_step({
      'image': tf.zeros([2, 33, 33, 3], tf.uint8),
      'panoptic': tf.constant(truth), 'height': size, 'width': size,
      'raw_height': size, 'raw_width': size,
      'place': tf.constant([0, 1], tf.int64)}, model)
  with tf.summary.create_file_writer(str(tmp_path)).as_default() as writer:
    state = task.aggregate_logs(None, {k: (v,) for k, v in logs.items()})
    task.reduce_aggregated_logs(state, global_step=7)
    writer.flush()
  assert [(step, tag) for step, tag, _ in _events(tmp_path)] == [
      (7, 'segments/1'), (7, 'heads/1')]
