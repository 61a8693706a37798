"""Training images are drawn with their targets, at a size to look at."""

import io

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf.data.common import record_files
from axial_tf.data.panoptic import augmentation, records
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.panoptic import targets
from axial_tf.panoptic.ssap import targets as affinity_targets
from axial_tf.specs import dataset_spec
from axial_tf.visualize.tensorboard import training_pictures

_SPEC = dataset_spec.DatasetSpec(
    name='test', label_divisor=100, ignore_label=9, categories=(
        dataset_spec.Category(1, 0, 'road', False, (128, 64, 128)),
        dataset_spec.Category(2, 1, 'car', True, (0, 0, 142))))
_TARGETS = targets.TargetSettings()
_HEIGHT, _WIDTH = 80, 120
_GREY = 90
# A square car in the middle of the road.
_TOP, _LEFT, _SIDE = 30, 50, 21


@pytest.fixture(scope='module')
def pattern(tmp_path_factory):
  folder = tmp_path_factory.mktemp('records')
  panoptic = np.zeros([_HEIGHT, _WIDTH], np.int32)
  panoptic[_TOP:_TOP + _SIDE, _LEFT:_LEFT + _SIDE] = 101
  image = io.BytesIO()
  Image.new('RGB', (_WIDTH, _HEIGHT), (_GREY,) * 3).save(image, 'PNG')
  path = folder / record_files.shard_name('train', 0, 1)
  with tf.io.TFRecordWriter(str(path)) as writer:
    for number in range(2):
      writer.write(records.encode_panoptic_example(
          image.getvalue(), 'png', f'{number}.png', _HEIGHT, _WIDTH, panoptic))
  return str(folder / 'train-*.tfrecord')


def _draw(pattern, count, crop=(_HEIGHT, _WIDTH), scale=1.0,
          target_settings=_TARGETS):
  return training_pictures.draw(
      panoptic_pipeline.PanopticDataSettings(
          train_pattern=pattern, validation_pattern=pattern, cache=True,
          targets=target_settings,
          augmentation=augmentation.AugmentationSettings(
              scale_range=(scale, scale), crop_size=crop,
              horizontal_flip=False)),
      _SPEC, count, 'edge', seed=1)


def test_image_segments_centers_and_offsets(pattern):
  pictures = _draw(pattern, 3)
  assert list(pictures) == ['training/1', 'training/2', 'training/3']
  picture = pictures['training/1'].astype(int)
  top = np.argmax((picture[:, 20] == _GREY).all(-1))  # Below the titles.
  panels = [picture[top:top + _HEIGHT, left:left + _WIDTH]
            for left in range(0, 4 * (_WIDTH + 4), _WIDTH + 4)]
  image, truth, centers, offsets = panels
  assert (image == _GREY).all()
  middle = _TOP + _SIDE // 2, _LEFT + _SIDE // 2
  corner = _TOP + 2, _LEFT + 2
  assert abs(truth[corner] - truth[5, 5]).max() > 30  # Another color.
  assert centers[middle].sum() > centers[corner].sum() > centers[5, 5].sum()
  assert np.ptp(offsets[corner]) > 100  # A strong color; grey outside.
  assert np.ptp(offsets[5, 5]) == 0
  assert (offsets[middle] > 240).all()  # White: here is the center.


def test_large_crops_are_shrunk(pattern):
  picture = _draw(pattern, 1, crop=(800, 1280), scale=10.0)['training/1']
  assert picture.shape[1] == 4 * 640 + 3 * 4


def test_none_are_drawn_on_request(pattern):
  assert not _draw('/nowhere', 0)


def test_levels_of_an_ssap(pattern):
  picture = _draw(
      pattern, 1, target_settings=affinity_targets.AffinityTargetSettings()
  )['training/1'].astype(int)
  panel, levels = _WIDTH + 4, 5
  # After image and truth: the affinities of five levels, then the segments.
  finest = picture[-_HEIGHT:, -_WIDTH:]
  assert picture.shape[1] == 2 * panel + 2 * levels * panel - 4
  is_colored = (finest.max(-1) - finest.min(-1)) > 10
  inside = np.zeros([_HEIGHT, _WIDTH], bool)
  inside[_TOP:_TOP + _SIDE, _LEFT:_LEFT + _SIDE] = True
  # Pixels of a map of stride 4 round to the nearest of it.
  assert (is_colored != inside).mean() < 0.02
