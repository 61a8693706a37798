"""Batches for classification: every image once, its label, reproducible."""

import dataclasses
import io
import itertools
import json
import pathlib

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data import reading_errors
from axial_tf.data.classification import (
  augmentation as classification_augmentation,
)
from axial_tf.data.classification import pipeline as classification_pipeline
from axial_tf.data.classification import records as classification_records
from axial_tf.data.common import record_checks
from axial_tf.data.panoptic import records
from axial_tf.specs import class_spec

_SPEC = class_spec.ClassSpec.from_ids('tiny', ['a', 'b', 'c'], {})
_PLAIN = classification_augmentation.ClassificationAugmentationSettings(
    crop='none', horizontal_flip=False)


def _record(number, image_class=None, size=(20, 24), encoded=None):
  """Image `number` is uniform with that value."""
  if encoded is None:
    buffer = io.BytesIO()
    Image.new('RGB', size[::-1], (number, 100, 0)).save(buffer, 'PNG')
    encoded = buffer.getvalue()
  image_class = image_class or _SPEC.classes[number % 3]
  return classification_records.encode_classification_example(
      encoded, 'png', f'{number}.png', *size, image_class)


@pytest.fixture
def data(write_shards):
  train, val = ([_record(n) for n in range(10)] for _ in range(2))
  return classification_pipeline.ClassificationDataSettings(
      train_pattern=write_shards(train[:6], train[6:]),
      validation_pattern=write_shards(val[:4], val[4:], name='val'),
      augmentation=_PLAIN, image_size=(12, 12), validation_resize=14,
      shuffle_buffer=10)


def _context(workers, worker, replicas=None):
  return tf.distribute.InputContext(workers, worker, replicas or workers)


def _take(dataset, count):
  return list(dataset.take(count).as_numpy_iterator())


def _numbers(batch):
  return np.round((batch['image'][:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


def _train(settings, batch=2, **arguments):
  return classification_pipeline.train_dataset(
      settings, _SPEC, batch, **arguments)


class TestTraining:

  def test_static_shapes_and_types(self, data):
    spec = _train(data, 4).element_spec
    assert {k: (v.shape.as_list(), v.dtype) for k, v in spec.items()} == {
        'image': ([4, 12, 12, 3], tf.float32), 'label': ([4], tf.int32),
        'target': ([4, 3], tf.float32)}

  def test_every_epoch_has_every_image_once_with_its_label(self, data):
    for settings in (data, dataclasses.replace(data, cache=True)):
      batches = _take(_train(settings, 5, seed=0), 4)
      numbers = [_numbers(b) for b in batches]
      assert sorted(sum(numbers[:2], [])) == list(range(10))
      assert sorted(sum(numbers[2:], [])) == list(range(10))
      assert numbers[:2] != numbers[2:]
      for batch, seen in zip(batches, numbers):
        assert batch['label'].tolist() == [n % 3 for n in seen]
        np.testing.assert_array_equal(batch['target'], np.eye(3)[
            batch['label']])

  @pytest.mark.slow
  def test_a_seed_repeats_everything(self, data):

    def run(seed, **augmentation):
      settings = dataclasses.replace(data, augmentation=dataclasses.replace(
          _PLAIN, mixup_alpha=0.4, label_smoothing=0.1, **augmentation))
      return _take(_train(settings, seed=seed), 6)

    first, second = (
        run(1, crop='random_resized', policy='simple') for _ in range(2))
    other, unseeded = run(2), run(None)
    for one, same in zip(first, second):
      for key in one:
        np.testing.assert_array_equal(one[key], same[key])
    for changed in (other, unseeded):
      assert any((one['target'] != two['target']).any()
                 for one, two in zip(first, changed))

  def test_mixing_blends_two_of_the_batch(self, data):
    settings = dataclasses.replace(
        data, augmentation=dataclasses.replace(_PLAIN, mixup_alpha=1.0))
    shares = []
    for batch in _take(_train(settings, seed=5), 10):
      np.testing.assert_allclose(batch['target'].sum(1), 1, rtol=1e-6)
      assert batch['label'].tolist() == batch['target'].argmax(1).tolist()
      shares += batch['target'].max(1).tolist()
    assert min(shares) < 0.9

  def test_workers_share_the_records(self, data):
    """Three workers divide the records of both shards."""
    seen = []
    for worker in range(3):
      dataset = _train(data, 3, input_context=_context(3, worker), seed=3)
      numbers = sum((_numbers(b) for b in _take(dataset, 10)), [])
      seen += next(
          numbers[:n] for n in (4, 3) if len(set(numbers[:n])) == n)
    # Each epoch divides the records differently.
    assert set(seen) <= set(range(10)) and len(set(seen)) >= 9

  def test_records_that_count_from_one(self, data, write_shards):
    shifted = [_record(n, class_spec.ImageClass(n % 3 + 1, 'x', 'x'))
               for n in range(6)]
    settings = dataclasses.replace(
        data, train_pattern=write_shards(shifted, name='one'), first_label=1)
    for batch in _take(_train(settings), 3):
      assert batch['label'].tolist() == [n % 3 for n in _numbers(batch)]

  def test_runs_on_two_replicas(self, data):
    strategy = tf.distribute.MirroredStrategy(['/cpu:0', '/cpu:1'])
    dataset = strategy.distribute_datasets_from_function(
        lambda context: _train(data, 4, input_context=context))
    batch = next(iter(dataset))
    assert [v.shape for v in batch['image'].values] == [(2, 12, 12, 3)] * 2


class TestValidation:

  def test_no_thread_delays_the_end_of_a_validation(self, data):
    dataset = classification_pipeline.validation_dataset(data, _SPEC, 4)
    assert dataset.options().autotune.enabled is False
    assert dataset.options().deterministic

  def test_every_image_once_in_order_with_a_partial_batch(self, data):
    batches = list(classification_pipeline.validation_dataset(
        data, _SPEC, 4).as_numpy_iterator())
    assert [len(b['image']) for b in batches] == [4, 4, 2]
    assert sum((_numbers(b) for b in batches), []) == list(range(10))
    assert sum((b['label'].tolist() for b in batches), []) == [
        n % 3 for n in range(10)]
    assert batches[0]['filename'].tolist() == [
        f'{n}.png'.encode() for n in range(4)]

  def test_cache_repeats_the_same_batches(self, data):
    dataset = classification_pipeline.validation_dataset(
        dataclasses.replace(data, cache=True), _SPEC, 4)
    for _ in range(2):
      assert sum((_numbers(b) for b in dataset.as_numpy_iterator()),
                 []) == list(range(10))

  def test_workers_share_the_images(self, data):
    seen = itertools.chain.from_iterable(
        b['filename'].tolist() for worker in range(3)
        for b in classification_pipeline.validation_dataset(
            data, _SPEC, 3, _context(3, worker)).as_numpy_iterator())
    assert sorted(seen) == [f'{i}.png'.encode() for i in range(10)]


both_functions = pytest.mark.parametrize('function', [
    classification_pipeline.train_dataset,
    classification_pipeline.validation_dataset])


class TestBadInput:

  @both_functions
  def test_no_pattern(self, function):
    with pytest.raises(errors.UserError, match='_pattern: expected'):
      function(classification_pipeline.ClassificationDataSettings(), _SPEC, 1)

  @both_functions
  def test_fewer_classes_in_the_spec_than_in_the_data(self, data, function):
    spec = class_spec.ClassSpec.from_ids('one', ['a'], {})
    bad = [_record(1)]
    folder = pathlib.Path(data.train_pattern).parent
    for path in folder.glob('*-00000-of-*'):
      with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(bad[0])
    with pytest.raises(errors.UserError, match='label 1.*1 classes from 0'):
      function(data, spec, 1)

  def test_a_later_label_out_of_range(self, data, write_shards):
    pattern = write_shards(
        [_record(0), _record(1, class_spec.ImageClass(7, 'x', 'x'))],
        name='one')
    settings = dataclasses.replace(data, train_pattern=pattern)
    with pytest.raises(errors.UserError, match='none of the 3 .*first_label$'):
      with reading_errors.reading_errors(pattern):
        _take(_train(settings, 1), 4)

  @both_functions
  def test_other_classes_than_those_written(self, data, function):
    """More classes in the head than in the data, for instance."""
    spec = class_spec.ClassSpec.from_ids('more', 'abcd', {})
    folder = pathlib.Path(data.train_pattern).parent
    (folder / 'dataset_info.json').write_text(json.dumps(
        {'spec': _SPEC.to_json(), 'splits': {}}))
    with pytest.raises(errors.UserError, match=r"'tiny' \(3 classes.*'more'"):
      function(data, spec, 1)

  def test_unlabeled_records(self, data, write_shards):
    record = classification_records.encode_classification_example(
        b'', 'png', 'a', 1, 1, None)
    settings = dataclasses.replace(
        data, train_pattern=write_shards([record], name='one'))
    with pytest.raises(errors.UserError, match='has no label'):
      _train(settings, 1)

  def test_panoptic_records(self, data, write_shards, examples, tiny_spec):
    pattern = write_shards([examples[0][2]], name='one')
    settings = dataclasses.replace(data, train_pattern=pattern)
    with pytest.raises(errors.UserError, match='has no label'):
      _train(settings, 1)
    (pathlib.Path(pattern).parent / 'dataset_info.json').write_text(
        json.dumps({'spec': tiny_spec.to_json(), 'splits': {}}))
    with pytest.raises(errors.UserError, match='not made with a ClassSpec'):
      _train(settings, 1)

  def test_a_first_image_that_cannot_be_decoded(self, data, write_shards):
    settings = dataclasses.replace(
        data, train_pattern=write_shards(
            [_record(0, encoded=b'nothing')], name='one'))
    with pytest.raises(errors.UserError, match='first record holds no image'):
      _train(settings, 1)

  def test_a_later_image_that_cannot_be_decoded_is_named(
      self, data, write_shards):
    pattern = write_shards(
        [_record(0)], [_record(1), _record(2, encoded=b'nothing')],
        name='bad')
    settings = dataclasses.replace(data, validation_pattern=pattern)
    dataset = classification_pipeline.validation_dataset(settings, _SPEC, 1)
    with pytest.raises(
        errors.UserError, match='00001-of-00002.*record 1 cannot'):
      with reading_errors.reading_errors(pattern):
        list(dataset)

  @pytest.mark.parametrize('changes, field', [
      ({'image_size': (0, 3)}, 'image_size'),
      ({'validation_resize': 200}, 'validation_resize'),
      ({'first_label': -1}, 'first_label'),
      ({'shuffle_buffer': 0}, 'shuffle_buffer'),
      ({'data_service': 'localhost'}, 'data_service'),
      ({'augmentation': None}, 'augmentation'),
  ])
  def test_settings_are_checked(self, changes, field):
    with pytest.raises(errors.UserError, match=field):
      classification_pipeline.ClassificationDataSettings(**changes)


def test_the_spec_next_to_the_records(data):
  folder = pathlib.Path(data.train_pattern).parent
  (folder / 'dataset_info.json').write_text(json.dumps(
      {'spec': _SPEC.to_json(), 'splits': {}}))
  assert classification_pipeline.load_spec(data) == _SPEC
  validation_only = dataclasses.replace(data, train_pattern='')
  assert classification_pipeline.load_spec(validation_only) == _SPEC


def test_panoptic_pipelines_refuse_classification_records(
    write_shards, tiny_spec):
  pattern = write_shards([_record(0)])
  with pytest.raises(errors.UserError, match='has no label'):
    record_checks.check_spec(
        record_checks.record_files.verify_shards(pattern), tiny_spec,
        records.SCHEMA)
  assert records.UNLABELED == -1
