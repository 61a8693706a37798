"""A tiny Cityscapes, in the layout of the downloaded archives."""

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 12, 20
NAMES = ('aachen_000000_000019', 'aachen_000001_000019', 'bonn_000007_000000')


def instance_ids(seed=0):
  """Ids uint16 [12, 20]: void, stuff, things, a crowd, classes left out."""
  ids = np.full([HEIGHT, WIDTH], 23, np.uint16)  # sky
  ids[4:] = 7  # road
  ids[4, 3:9] = 20  # traffic sign
  ids[5:8, 1:4] = 26001  # cars
  ids[5:8, 6:9] = 26000
  ids[6:9, 12:16] = 24003 + seed % 3  # person
  ids[8, 5:11] = 33  # a crowd of bicycles
  ids[9, 2:8] = 29004  # caravan, not evaluated
  ids[10, :5] = 14  # guard rail, not evaluated
  ids[11] = 1  # ego vehicle
  ids[0, 0] = 0  # unlabeled
  return ids


def panoptic(seed=0):
  """What `instance_ids` stands for: train id * 1000 + instance, int32."""
  del seed  # The number of the only person does not matter.
  values = {
      23: 10_000, 7: 0, 20: 7_000, 26000: 13_001, 26001: 13_002, 24003: 11_001,
      24004: 11_001, 24005: 11_001, 33: 18_000}
  return np.vectorize(lambda i: values.get(i, 255_000))(
      instance_ids()).astype(np.int32)


def make(root, split='train', kind='gtFine', names=NAMES):
  """Writes the images, *_instanceIds.png and *_labelIds.png of a split."""
  for seed, name in enumerate(names):
    city = name.split('_')[0]
    image_dir = root / 'leftImg8bit' / split / city
    image_dir.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(
        0, 256, [HEIGHT, WIDTH, 3], np.uint8)
    Image.fromarray(pixels).save(image_dir / f'{name}_leftImg8bit.png')
    if kind:
      write_label(root, name, instance_ids(seed), split, kind)


def write_label(root, name, ids, split='train', kind='gtFine'):
  """Writes *_instanceIds.png and *_labelIds.png of one image."""
  folder = root / kind / split / name.split('_')[0]
  folder.mkdir(parents=True, exist_ok=True)
  Image.fromarray(ids).save(folder / f'{name}_{kind}_instanceIds.png')
  classes = np.where(ids < 1000, ids, ids // 1000).astype(np.uint8)
  Image.fromarray(classes).save(folder / f'{name}_{kind}_labelIds.png')
