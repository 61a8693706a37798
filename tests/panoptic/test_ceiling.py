"""Scores of perfect heads on real images: the ceiling of the method."""

import collections
import json

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf.panoptic import merging, targets
from axial_tf.specs import dataset_spec


def _read_label(path, segments, spec):
  """int32 [height, width] from a COCO PNG, id = R + 256 G + 65536 B."""
  ids = np.array(Image.open(path).convert('RGB')) @ np.int32([1, 256, 65536])
  panoptic = np.full(ids.shape, spec.void_label, np.int32)
  numbers = collections.Counter()
  for segment in segments:
    category = spec.by_source_id[segment['category_id']]
    label = category.train_id * spec.label_divisor
    if category.is_thing and not segment['iscrowd']:
      numbers[category.train_id] += 1
      label += numbers[category.train_id]
    panoptic[ids == segment['id']] = label
  return panoptic


@pytest.fixture(scope='module')
def spec():
  return dataset_spec.DatasetSpec.load('coco')


@pytest.fixture(scope='module')
def labels(shared_dir, spec):
  """Panoptic labels of the three sample images, by file name."""
  folder = shared_dir / 'data' / 'coco_panoptic_sample' / 'annotations'
  if not folder.is_dir():
    pytest.skip(f'{folder} is absent')
  content = json.loads((folder / 'panoptic_val2017.json').read_text())
  return {
      image['file_name']: _read_label(
          folder / 'panoptic_val2017' / image['file_name'],
          image['segments_info'], spec)
      for image in content['annotations']}


def _merge_of_targets(panoptic, spec, settings):
  ids = {'thing_ids': spec.thing_ids, 'label_divisor': spec.label_divisor}
  maps = targets.panoptic_targets(
      tf.constant(panoptic), ignore_label=spec.ignore_label, **ids)
  return merging.merge(
      tf.one_hot(maps['semantic'], spec.num_classes)[tf.newaxis],
      maps['center_heatmap'][tf.newaxis], maps['offset'][tf.newaxis],
      void_label=spec.void_label, settings=settings,
      **ids)['panoptic_map'][0].numpy()


def _best_iou(label, panoptic, merged, spec):
  """IoU with the segment of the same class that overlaps most."""
  mask = panoptic == label
  ious = [0.0]
  for found in np.unique(merged[mask]):
    if found // spec.label_divisor == label // spec.label_divisor:
      other = (merged == found) & (panoptic != spec.void_label)
      ious.append((other & mask).sum() / (other | mask).sum())
  return max(ious)


def _reason(label, panoptic, spec, settings):
  """Why the method cannot recover this segment, or None if it should."""
  mask = panoptic == label
  if label % spec.label_divisor == 0:
    is_small = mask.sum() < settings.stuff_area_limit
    return f'stuff of only {mask.sum()} pixels' if is_small else None
  center = np.round(np.argwhere(mask).mean(0))
  for other in np.unique(panoptic):
    if other != label and other % spec.label_divisor and np.array_equal(
        np.round(np.argwhere(panoptic == other).mean(0)), center):
      return f'{other} has the same center'
  return None


@pytest.mark.parametrize('kernel', [7, 41])
def test_perfect_heads_lose_only_what_the_method_cannot_recover(
    labels, spec, kernel):
  settings = merging.MergingSettings(stuff_area_limit=4096, nms_kernel=kernel)
  ious = []
  for name, panoptic in labels.items():
    merged = _merge_of_targets(panoptic, spec, settings)
    for label in np.unique(panoptic):
      category, instance = divmod(int(label), spec.label_divisor)
      is_crowd = category in spec.thing_ids and instance == 0
      if label == spec.void_label or is_crowd:
        continue
      ious.append(_best_iou(label, panoptic, merged, spec))
      if ious[-1] < 1.0:
        reason = _reason(label, panoptic, spec, settings)
        print(f'{name}: {spec.category(category).name} {instance}: IoU '
              f'{ious[-1]:.3f}, {reason}')
        assert reason, (name, label, ious[-1])
  print(f'kernel {kernel}: mean IoU {np.mean(ious):.3f} of {len(ious)}')
  assert len(ious) > 30
  assert np.mean(ious) > 0.95


def test_the_stuff_limit_is_all_that_these_images_lose(labels, spec):
  settings = merging.MergingSettings(stuff_area_limit=0)
  for panoptic in labels.values():
    merged = _merge_of_targets(panoptic, spec, settings)
    ious = [_best_iou(label, panoptic, merged, spec)
            for label in np.unique(panoptic)
            if label % spec.label_divisor
            or label // spec.label_divisor in spec.stuff_ids]
    assert min(ious) == 1.0
