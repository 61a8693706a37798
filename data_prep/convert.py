r"""Converts a published data set, or one's own, to TFRecord shards.

  python -m data_prep.convert --dataset=coco --input_dir=/data/coco \
      --split=val2017 --output_dir=/data/coco_records

  python -m data_prep.convert --dataset=custom --spec=my_scenes.json \
      --input_dir=/data/my_scenes --split=train --output_dir=/data/my_records

A folder has the layout of COCO panoptic: images in {split}/ or
images/{split}/, annotations/panoptic_{split}.json and its folder of PNGs. Each
image is checked against its label, the JSON and the spec; the first mistake
ends the conversion and leaves nothing behind.
"""

import random
from typing import Iterable, Iterator, Optional

from absl import flags
import tqdm

from axial_tf import cli, errors
from axial_tf.data import dataset_spec
from data_prep import coco_annotations, coco_panoptic, shards

# Training images are shuffled across the shards once, always in the same way.
_SHUFFLE_SEED = 20200817


def convert(
    input_dir: str, split: str, output_dir: str,
    spec: dataset_spec.DatasetSpec, num_shards: Optional[int] = None) -> int:
  """Converts one split of a COCO panoptic folder; returns its image count.

  Raises:
    errors.UserError: see `coco_annotations`, `coco_panoptic`, `shards`.
  """
  images = coco_annotations.read_split(input_dir, split, spec)
  if split.startswith('train'):
    random.Random(_SHUFFLE_SEED).shuffle(images)
  if num_shards is None:
    num_shards = shards.default_num_shards(len(images))
  counts = {
      'num_segments': sum(len(i.segments) for i in images),
      'num_crowds': sum(bool(s.get('iscrowd')) for i in images
                        for s in i.segments if isinstance(s, dict)),
  }
  shards.write_split(
      output_dir, split, spec, _encode_all(images, spec, split), len(images),
      num_shards, counts)
  return len(images)


def _encode_all(
    images: Iterable[coco_annotations.PanopticImage],
    spec: dataset_spec.DatasetSpec, split: str) -> Iterator[bytes]:
  for image in tqdm.tqdm(images, desc=split, unit='image', mininterval=0.5):
    yield coco_panoptic.encode(image, spec)


def run(
    dataset: Optional[str], input_dir: Optional[str], split: Optional[str],
    output_dir: Optional[str], spec: Optional[str] = None,
    num_shards: Optional[int] = None) -> None:
  """Converts as the flags of these names say."""
  required = {'dataset': dataset, 'input_dir': input_dir, 'split': split,
              'output_dir': output_dir}
  for name, value in required.items():
    if not value:
      raise errors.UserError(
          f'--{name} is required; see --help for an example')
  if (dataset == 'custom') != bool(spec):
    raise errors.UserError(
        '--spec=FILE.json belongs to --dataset=custom, and only to it')
  count = convert(
      input_dir, split, output_dir,
      dataset_spec.DatasetSpec.load(spec or dataset), num_shards)
  print(f'{count} images of {split} are in {output_dir}')


def _define_flags() -> None:
  flags.DEFINE_enum(
      'dataset', None, ['coco', 'custom'],
      'Which data set to read; custom is any folder in the layout of COCO '
      'panoptic, described by --spec.')
  flags.DEFINE_string('input_dir', None, 'Folder of the data set.')
  flags.DEFINE_string(
      'split', None, 'For example train2017, val2017, train or val.')
  flags.DEFINE_string(
      'output_dir', None, 'Folder for the shards; several splits may share it.')
  flags.DEFINE_string(
      'spec', None, 'JSON file that describes a custom data set.')
  flags.DEFINE_integer(
      'num_shards', None, 'Default: one per 128 images, at most 1000.')


def main() -> None:
  given = flags.FLAGS
  run(given.dataset, given.input_dir, given.split, given.output_dir,
      given.spec, given.num_shards)


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
