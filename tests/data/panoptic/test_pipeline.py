"""Batches: every record once, the right padding, reproducible, sharded."""

import dataclasses
import itertools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data import reading_errors
from axial_tf.data.panoptic import augmentation, records, training_batch
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.panoptic import targets

_NO_CHANGE = augmentation.AugmentationSettings(
    scale_range=(1.0, 1.0), crop_size=(14, 16), horizontal_flip=False)


@pytest.fixture
def data(write_shards, examples):
  """Settings for the nine examples: 2 training and 2 validation shards."""
  serialized = [example[2] for example in examples]
  return panoptic_pipeline.PanopticDataSettings(
      train_pattern=write_shards(serialized[:5], serialized[5:]),
      validation_pattern=write_shards(
          serialized[:4], serialized[4:], name='val'),
      augmentation=_NO_CHANGE, shuffle_buffer=9)


def _context(workers, worker, replicas=None):
  return tf.distribute.InputContext(workers, worker, replicas or workers)


def _take(dataset, count):
  return list(dataset.take(count).as_numpy_iterator())


def _sizes(batch):
  """Identifies the examples of a training batch by the area of their labels.

  """
  top, left, bottom, right = batch['inside'].T
  return ((bottom - top) * (right - left)).tolist()


class TestTraining:

  @pytest.mark.parametrize('cache, context', [
      (True, None), (False, _context(2, 1, replicas=4))])
  def test_a_resumed_run_continues_with_unseen_batches(
      self, data, tiny_spec, cache, context):
    data = dataclasses.replace(
        data, cache=cache, shuffle_buffer=4,
        augmentation=dataclasses.replace(
            _NO_CHANGE, horizontal_flip=True, brightness=0.3))

    def batches(first_step, count):
      return _take(panoptic_pipeline.train_dataset(
          data, tiny_spec, 4, context, seed=3, first_step=first_step), count)

    # Batches of a replica: with two replicas a worker, two of them a step.
    per_step = 2 if context else 1
    whole = batches(0, 7 * per_step)
    for old, new in zip(whole[5 * per_step:], batches(5, 2 * per_step)):
      for key in old:
        np.testing.assert_array_equal(old[key], new[key])

  def test_static_shapes_and_types_of_a_replicas_batch(self, data, tiny_spec):
    spec = panoptic_pipeline.train_dataset(
        data, tiny_spec, 16, _context(1, 0, replicas=4)).element_spec
    found = {key: (value.shape.as_list(), value.dtype)
             for key, value in spec.items()}
    plain = [4, 14, 16]
    assert found == {
        'image': ([*plain, 3], tf.uint8), 'panoptic': (plain, tf.int32),
        'inside': ([4, 4], tf.int32), 'instance': (plain, tf.int32),
        'center_r2': (plain, tf.int16)}
    with pytest.raises(errors.UserError, match='multiple of the 4 replicas'):
      panoptic_pipeline.train_dataset(
          data, tiny_spec, 6, _context(1, 0, replicas=4))

  def test_every_epoch_has_every_example_once(self, data, tiny_spec, examples):
    areas = sorted(label.size for _, label, _ in examples)
    for settings in (data, dataclasses.replace(data, cache=True)):
      batches = _take(
          panoptic_pipeline.train_dataset(settings, tiny_spec, 3, seed=0), 6)
      seen = [area for batch in batches for area in _sizes(batch)]
      assert sorted(seen[:9]) == areas
      assert sorted(seen[9:]) == areas
      assert seen[:9] != seen[9:]

  def test_targets_belong_to_their_image(self, data, tiny_spec):
    """The red channel of the examples holds their panoptic label."""
    dataset = panoptic_pipeline.train_dataset(data, tiny_spec, 3).map(
        lambda batch: training_batch.unpack(
            batch, tiny_spec, data.targets, 'gray'))
    for batch in _take(dataset, 3):
      for index in range(3):
        image = batch['image'][index]
        label = np.round((image[..., 0] + 1) * 127.5).astype(np.int32)
        label[(image == 0).all(-1)] = tiny_spec.void_label
        expected = targets.panoptic_targets(
            tf.constant(label), thing_ids=tiny_spec.thing_ids,
            label_divisor=10, ignore_label=9)
        for key, value in expected.items():
          np.testing.assert_allclose(batch[key][index], value, atol=1e-5)
        assert (batch['offset_weight'][index] == 1).any()

  @pytest.mark.slow
  def test_a_seed_repeats_everything(self, data, tiny_spec):
    settings = dataclasses.replace(
        data, augmentation=augmentation.AugmentationSettings(
            crop_size=(9, 9), brightness=0.2))

    def run(seed):
      return _take(panoptic_pipeline.train_dataset(
          settings, tiny_spec, 2, seed=seed), 8)

    first, second, other, unseeded = run(1), run(1), run(2), run(None)
    for one, same in zip(first, second):
      for key in one:
        np.testing.assert_array_equal(one[key], same[key])
    for changed in (other, unseeded):
      assert any((one['image'] != two['image']).any()
                 for one, two in zip(first, changed))

  def test_repeated_examples_are_augmented_differently(
      self, write_shards, examples, tiny_spec):
    settings = panoptic_pipeline.PanopticDataSettings(
        train_pattern=write_shards([examples[8][2]]), cache=True,
        augmentation=augmentation.AugmentationSettings(crop_size=(9, 9)))
    batches = _take(
        panoptic_pipeline.train_dataset(settings, tiny_spec, 1, seed=0), 10)
    assert len({batch['image'].tobytes() for batch in batches}) > 7

  def test_workers_share_the_records(self, data, tiny_spec, examples):
    """Each of 2 workers takes one of the 2 shards."""
    seen = []
    for worker in range(2):
      dataset = panoptic_pipeline.train_dataset(
          data, tiny_spec, 2, _context(2, worker), seed=3)
      areas = [_sizes(b)[0] for b in _take(dataset, 9)]
      epoch = next(n for n in (5, 4) if len(set(areas[:n])) == n
                   and set(areas) == set(areas[:n]))
      seen += areas[:epoch]
    assert sorted(seen) == sorted(label.size for _, label, _ in examples)

  def test_max_long_side_comes_before_augmentation(self, data, tiny_spec):
    settings = dataclasses.replace(data, max_long_side=8, cache=True)
    for batch in _take(
        panoptic_pipeline.train_dataset(settings, tiny_spec, 9), 1):
      top, left, bottom, right = batch['inside'].T
      assert set(right - left) == {8}
      assert set(bottom - top) == {6, 7}


class TestValidation:

  def test_no_thread_delays_the_end_of_a_validation(self, data, tiny_spec):
    dataset = panoptic_pipeline.validation_dataset(data, tiny_spec, 2)
    assert dataset.options().autotune.enabled is False
    assert dataset.options().deterministic

  def test_every_image_once_in_order_and_padded(
      self, data, tiny_spec, examples):
    batches = list(panoptic_pipeline.validation_dataset(
        data, tiny_spec, 2).as_numpy_iterator())
    assert [len(b['image']) for b in batches] == [2, 2, 2, 2, 1]
    for index, (pixels, panoptic, _) in enumerate(examples):
      batch, row = batches[index // 2], index % 2
      height, width = panoptic.shape
      assert batch['filename'][row] == f'{index}.png'.encode()
      assert (batch['height'][row], batch['width'][row]) == (height, width)
      assert (batch['raw_height'][row], batch['raw_width'][row]) == (
          height, width)
      image, label = batch['image'][row], batch['panoptic'][row]
      assert image.dtype == np.uint8 and label.dtype == np.int32
      np.testing.assert_array_equal(image[:height, :width], pixels)
      np.testing.assert_array_equal(label[:height, :width], panoptic)
      assert not image[height:].any() and not image[:, width:].any()
      assert (label[height:] == tiny_spec.void_label).all()
      assert (label[:, width:] == tiny_spec.void_label).all()
    assert batches[0]['image'].shape == (2, 7, 9, 3)  # the larger of the two

  def test_a_cache_repeats_the_same_enlarged_images(self, data, tiny_spec):
    dataset = panoptic_pipeline.validation_dataset(
        dataclasses.replace(data, cache=True, max_long_side=20, enlarge=True),
        tiny_spec, 4)
    first = list(dataset.as_numpy_iterator())
    for one, two in zip(first, dataset.as_numpy_iterator()):
      assert set(one['width']) == {20}
      for key in one:
        np.testing.assert_array_equal(one[key], two[key])

  def test_shrunk_images_keep_their_raw_truth(
      self, data, tiny_spec, examples):
    settings = dataclasses.replace(
        data, max_long_side=8, validation_size=(9, 10))
    batches = list(panoptic_pipeline.validation_dataset(
        settings, tiny_spec, 9).as_numpy_iterator())
    batch, = batches
    assert batch['image'].shape == (9, 9, 10, 3)
    assert batch['panoptic'].shape == (9, 14, 16)
    assert batch['width'].tolist() == [8] * 9
    assert batch['height'].tolist() == [
        round(8 * (6 + i) / (8 + i)) for i in range(9)]
    assert batch['raw_width'].tolist() == [8 + i for i in range(9)]
    np.testing.assert_array_equal(batch['panoptic'][8], examples[8][1])
    assert not batch['image'][:, 8:].any() and not batch['image'][..., 8:, :
                                                                  ].any()

  def test_an_image_beyond_validation_size_is_a_clear_error(
      self, data, tiny_spec):
    settings = dataclasses.replace(data, validation_size=(9, 12))
    dataset = panoptic_pipeline.validation_dataset(settings, tiny_spec, 1)
    with pytest.raises(errors.UserError, match=(
        'validation_size.*larger than.* max_long_side$')):
      with reading_errors.reading_errors(data.validation_pattern):
        list(dataset)

  def test_images_without_label_are_void(
      self, write_shards, examples, tiny_spec):
    image = tf.io.encode_png(np.zeros([2, 3, 3], np.uint8)).numpy()
    unlabeled = records.encode_panoptic_example(
        image, 'png', 'u.png', 2, 3, None)
    settings = panoptic_pipeline.PanopticDataSettings(
        validation_pattern=write_shards([examples[0][2], unlabeled]))
    batch, = panoptic_pipeline.validation_dataset(settings, tiny_spec, 2)
    assert (batch['panoptic'][1].numpy() == tiny_spec.void_label).all()

  def test_workers_share_the_images(self, data, tiny_spec):
    """They also know the order in which a single one would read them."""
    seen = list(itertools.chain.from_iterable(
        zip(batch['place'].tolist(), batch['filename'].tolist())
        for worker in range(2)
        for batch in panoptic_pipeline.validation_dataset(
            data, tiny_spec, 2, _context(2, worker)).as_numpy_iterator()))
    assert len(seen) == len(set(seen))
    assert [name for _, name in sorted(seen)] == [
        f'{i}.png'.encode() for i in range(9)]


both_functions = pytest.mark.parametrize('function', [
    panoptic_pipeline.train_dataset, panoptic_pipeline.validation_dataset])


class TestBadInput:

  @both_functions
  def test_no_pattern(self, tiny_spec, function):
    with pytest.raises(errors.UserError, match='_pattern: expected'):
      function(panoptic_pipeline.PanopticDataSettings(), tiny_spec, 1)

  @both_functions
  def test_no_files(self, data, tiny_spec, function):
    settings = dataclasses.replace(
        data, train_pattern='/no/train-*', validation_pattern='/no/val-*')
    with pytest.raises(errors.UserError, match="no files match '/no/"):
      function(settings, tiny_spec, 1)

  @both_functions
  def test_a_truncated_shard(self, data, tiny_spec, function):
    for path in pathlib.Path(data.train_pattern).parent.glob('*-00001-of*'):
      path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(errors.UserError, match='00001-of-00002.*cut off'):
      function(data, tiny_spec, 1)

  @both_functions
  def test_records_of_another_spec(self, data, tiny_spec, function):
    smaller = dataclasses.replace(
        tiny_spec, categories=tiny_spec.categories[:2])
    with pytest.raises(errors.UserError, match='train id 2'):
      function(data, smaller, 1)

  @pytest.mark.parametrize('changes, field', [
      ({'max_long_side': 0}, 'max_long_side'),
      ({'enlarge': True}, 'enlarge'),
      ({'validation_size': (0, 3)}, 'validation_size'),
      ({'shuffle_buffer': 0}, 'shuffle_buffer'),
      ({'train_pattern': None}, 'train_pattern'),
      ({'augmentation': {}}, 'augmentation'),
  ])
  def test_settings_are_checked(self, changes, field):
    with pytest.raises(errors.UserError, match=field):
      panoptic_pipeline.PanopticDataSettings(**changes)
