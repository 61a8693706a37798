"""Makes a small panoptic data set: handwritten digits on photographs.

  python -m data_prep.sample_digits --output_dir=/data/digits

Nothing is downloaded: the 1,797 scans of handwritten digits and the two
photographs come with scikit-learn (`load_digits`, `load_sample_images`). Ten
thing classes (the digits) lie on two stuff classes (parts of a photo of a
pavilion and of a flower, separated by a curve); digits occlude each other, some
form unseparated heaps (crowds), and some patches are unlabeled (void). The
scans and the parts of the photos used for validation do not occur in training.

Writes the layout of COCO panoptic (images/{train,val}/*.jpg,
annotations/panoptic_{train,val}.json and its folder of PNGs) and digits.json,
the spec for data_prep.convert. The same seed gives the same bytes.
"""

import json
import os
import pathlib
import shutil
from typing import Any, Dict, List, Tuple

from absl import flags
import numpy as np
from PIL import Image
import tqdm

from axial_tf import cli, errors, optional_imports
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec
from data_prep import digit_scenes

_DIGIT_COLORS = (
    (228, 26, 28), (55, 126, 184), (77, 175, 74), (152, 78, 163), (255, 127, 0),
    (230, 210, 40), (166, 86, 40), (247, 129, 191), (0, 206, 209), (0, 0, 128))
SPEC = dataset_spec.DatasetSpec(
    name='digits',
    label_divisor=256,
    ignore_label=255,
    categories=tuple(
        dataset_spec.Category(i + 1, i, f'digit {i}', True, color)
        for i, color in enumerate(_DIGIT_COLORS)
    ) + (
        dataset_spec.Category(11, 10, 'pavilion', False, (170, 190, 200)),
        dataset_spec.Category(12, 11, 'flower', False, (0, 70, 60)),
    ),
    merging={'stuff_area_limit': 64, 'nms_kernel': 7})

# Held out for validation: the last sixth of each digit's scans, in the order of
# the collection, and the right quarter of each photo.
_VAL_SCANS = 1 / 6
_VAL_PHOTO = 1 / 4
_JPEG_QUALITY = 95


def split_scans(target: np.ndarray) -> Dict[str, np.ndarray]:
  """Splits the scans, given their digits, into {'train': ..., 'val': ...}.

  Returns:
    Ascending indices into `target`; each digit gives a sixth to 'val'.
  """
  parts = {'train': [], 'val': []}
  for digit in range(10):
    indices = np.flatnonzero(target == digit)
    first = len(indices) - round(len(indices) * _VAL_SCANS)
    parts['train'].append(indices[:first])
    parts['val'].append(indices[first:])
  return {k: np.sort(np.concatenate(v)) for k, v in parts.items()}


def make(output_dir: str, seed: int = 0, train_images: int = 800,
         val_images: int = 60) -> None:
  """Writes the whole data set; the folder appears when all is written.

  Raises:
    errors.UserError: the folder is not empty, or scikit-learn cannot be
      imported.
  """
  target = pathlib.Path(output_dir).absolute()
  if target.exists() and (not target.is_dir() or any(target.iterdir())):
    raise errors.UserError(
        f'{output_dir}: expected a new or empty folder; delete it or choose '
        f'another --output_dir')
  sources = _load_sources()
  temporary = target.with_name(f'.{target.name}.tmp')
  shutil.rmtree(temporary, ignore_errors=True)
  try:
    temporary.mkdir(parents=True)
    for split, count in (('train', train_images), ('val', val_images)):
      _write_split(temporary, split, count, sources[split], seed)
    (temporary / 'digits.json').write_text(
        json.dumps(SPEC.to_json(), indent=2) + '\n')
    os.replace(temporary, target)
  except OSError as error:
    raise errors.UserError(
        f'cannot write {output_dir}: {error.strerror}; choose another '
        f'--output_dir') from error
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def _load_sources() -> Dict[str, digit_scenes.Source]:
  datasets = optional_imports.load('sklearn.datasets', 'demo', 'the sample')
  digits = datasets.load_digits()
  photos = datasets.load_sample_images().images
  sources = {}
  for split, indices in split_scans(digits.target).items():
    scans = (digits.images / 16).astype(np.float32)
    edge = round(photos[0].shape[1] * (1 - _VAL_PHOTO))
    columns = slice(None, edge) if split == 'train' else slice(edge, None)
    sources[split] = digit_scenes.Source(
        {d: scans[indices[digits.target[indices] == d]] for d in range(10)},
        [photo[:, columns] for photo in photos])
  return sources


def _write_split(root: pathlib.Path, split: str, count: int,
                 source: digit_scenes.Source, seed: int) -> None:
  image_dir = root / 'images' / split
  label_dir = root / 'annotations' / f'panoptic_{split}'
  image_dir.mkdir(parents=True)
  label_dir.mkdir(parents=True)
  images, annotations = [], []
  for number in tqdm.trange(count, desc=split, unit='image'):
    rng = np.random.default_rng([seed, split == 'val', number])
    scene = digit_scenes.draw_scene(rng, source)
    name = f'{split}_{number:06d}'
    height, width = scene.index.shape
    Image.fromarray(scene.image.round().astype(np.uint8)).save(
        image_dir / f'{name}.jpg', quality=_JPEG_QUALITY)
    segment_map, segments = _coco_segments(scene, rng)
    Image.fromarray(segment_map).save(label_dir / f'{name}.png')
    images.append({'id': number + 1, 'file_name': f'{name}.jpg',
                   'height': height, 'width': width})
    annotations.append({'image_id': number + 1, 'file_name': f'{name}.png',
                        'segments_info': segments})
  categories = [
      {'id': c.id, 'name': c.name, 'isthing': int(c.is_thing),
       'supercategory': 'digit' if c.is_thing else 'photo',
       'color': list(c.color)} for c in SPEC.categories]
  (label_dir.with_suffix('.json')).write_text(json.dumps({
      'images': images, 'annotations': annotations, 'categories': categories}))


def _coco_segments(scene: digit_scenes.Scene, rng: np.random.Generator
                   ) -> Tuple[np.ndarray, List[Dict[str, Any]]]:
  """Returns the label as RGB uint8 [height, width, 3] and its segments_info.

  As in COCO, a segment's id is a color near that of its category.
  """
  rgb = np.zeros((*scene.index.shape, 3), np.uint8)
  segments, used = [], {0}
  for number, segment in enumerate(scene.segments):
    mask = scene.index == number
    if not mask.any():
      continue
    category = SPEC.category(segment.train_id)
    segment_id = 0
    while segment_id in used:
      color = np.clip(
          category.color + rng.integers(-20, 21, 3), 0, 255).astype(int)
      segment_id = int(label_png.from_rgb(color))
    used.add(segment_id)
    rgb[mask] = color
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    segments.append({
        'id': segment_id,
        'category_id': category.id,
        'iscrowd': int(segment.is_crowd),
        'area': int(mask.sum()),
        'bbox': [int(columns[0]), int(rows[0]),
                 int(columns[-1] - columns[0] + 1),
                 int(rows[-1] - rows[0] + 1)],
    })
  return rgb, segments


def _define_flags() -> None:
  cli.define_path(
      'output_dir', None, 'Folder to create; must be new or empty.',
      local=True)
  flags.DEFINE_integer('seed', 0, 'Seed of all random choices.', lower_bound=0)
  flags.DEFINE_integer(
      'train_images', 800, 'Number of training images.', lower_bound=1)
  flags.DEFINE_integer(
      'val_images', 60, 'Number of validation images.', lower_bound=1)


def main() -> None:
  given = flags.FLAGS
  if not given.output_dir:
    raise errors.UserError('--output_dir is required; see --help')
  make(given.output_dir, given.seed, given.train_images, given.val_images)
  print(f'{given.train_images} training and {given.val_images} validation '
        f'images are in {given.output_dir}')


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
