"""The pipelines on two devices and in a tf.data service."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.data.classification import (
  augmentation as classification_augmentation,
)
from axial_tf.data.classification import pipeline as classification_pipeline
from axial_tf.data.classification import records as classification_records
from axial_tf.data.common import reading
from axial_tf.data.panoptic import augmentation, records
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.specs import class_spec


@pytest.fixture
def panoptic_data(write_shards, examples):
  serialized = [example[2] for example in examples]
  return panoptic_pipeline.PanopticDataSettings(
      train_pattern=write_shards(serialized[:5], serialized[5:]),
      augmentation=augmentation.AugmentationSettings(
          crop_size=(14, 16), scale_range=(1.0, 1.0), horizontal_flip=False),
      shuffle_buffer=9)


@pytest.fixture(scope='module')
def service():
  """A tf.data service with one worker in this process; gives its address."""
  dispatcher = tf.data.experimental.service.DispatchServer()
  worker = tf.data.experimental.service.WorkerServer(
      tf.data.experimental.service.WorkerConfig(
          dispatcher_address=dispatcher.target.split('://')[1]))
  yield dispatcher.target
  del worker


def test_two_devices_get_their_shares(panoptic_data, tiny_spec):
  strategy = tf.distribute.MirroredStrategy(['/cpu:0', '/cpu:1'])
  dataset = strategy.distribute_datasets_from_function(
      lambda context: panoptic_pipeline.train_dataset(
          panoptic_data, tiny_spec, 4, context, seed=1))
  batches = iter(dataset)
  shares = next(batches)['image'].values
  assert [share.shape for share in shares] == [(2, 14, 16, 3)] * 2
  assert (shares[0].numpy() != shares[1].numpy()).any()


def test_a_service_makes_panoptic_batches(panoptic_data, tiny_spec, service):
  settings = dataclasses.replace(
      panoptic_data, data_service=service, cache=True,
      augmentation=dataclasses.replace(
          panoptic_data.augmentation, color_policy='panoptic_deeplab'))
  batches = list(panoptic_pipeline.train_dataset(
      settings, tiny_spec, 3, seed=1).take(3).as_numpy_iterator())
  insides = np.concatenate([b['inside'] for b in batches])
  areas = (insides[:, 2:] - insides[:, :2]).prod(1).tolist()
  assert len(set(areas)) == 9  # every image once in the first epoch
  assert all((b['center_r2'] == 0).any() for b in batches)


def test_a_service_makes_classification_batches(write_shards, service):
  spec = class_spec.ClassSpec.from_ids('tiny', 'ab', {})
  picture = tf.io.encode_png(np.zeros([8, 8, 3], np.uint8)).numpy()
  settings = classification_pipeline.ClassificationDataSettings(
      train_pattern=write_shards([
          classification_records.encode_classification_example(
              picture, 'png', str(n), 8, 8, spec.classes[n % 2])
          for n in range(6)]),
      image_size=(8, 8), validation_resize=8, data_service=service,
      augmentation=classification_augmentation
      .ClassificationAugmentationSettings(mixup_alpha=0.2))
  batch = next(iter(classification_pipeline.train_dataset(settings, spec, 6)))
  assert batch['image'].shape == [6, 8, 8, 3]
  np.testing.assert_allclose(batch['target'].numpy().sum(), 6, rtol=1e-5)


@pytest.mark.parametrize('workers', [1, 2, 3, 4, 11])
def test_workers_share_the_records(
    panoptic_data, tiny_spec, examples, workers):
  """By the shards, or by the records if there are fewer shards."""
  source = reading.open_records(
      panoptic_data.train_pattern, tiny_spec, records.SCHEMA)
  contexts = [tf.distribute.InputContext(workers, worker, workers)
              for worker in range(workers)]
  serialized = [example[2] for example in examples]
  places = []
  for context in contexts:
    places += source.read_in_order(context).as_numpy_iterator()
  assert len({place for place, _ in places}) == 9
  assert [record for _, record in sorted(places)] == serialized
  for seed in (3, None):
    shares = [list(source.read(context, seed).as_numpy_iterator())
              for context in contexts]
    assert sorted(sum(shares, [])) == sorted(serialized)
    assert [len(share) for share in shares] == [
        source.num_records(context) for context in contexts]


def test_seeds_are_functions_of_seed_worker_and_position():
  def seeds(seed, worker=0):
    context = tf.distribute.InputContext(2, worker, 2)
    dataset = tf.data.Dataset.range(4)
    return [tuple(s) for s in reading.map_with_seeds(
        dataset, lambda s, _: s, seed, context).as_numpy_iterator()]

  assert seeds(1) == seeds(1)
  assert len({*seeds(1), *seeds(2), *seeds(1, worker=1)}) == 12
  assert seeds(None) != seeds(None)
