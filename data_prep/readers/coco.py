"""Reads COCO panoptic, and any data set with the same layout.

  {split}/*.jpg or images/{split}/*.jpg
  annotations/panoptic_{split}.json
  annotations/panoptic_{split}/*.png or panoptic_{split}/*.png

Test images have no annotations: they are listed in
annotations/image_info_{split}.json or are all images in their folder.
"""

import functools

from axial_tf import errors
from axial_tf.specs import dataset_spec
from data_prep.readers import coco_annotations, coco_panoptic, splits


def read_split(input_dir: str, split: str,
               options: splits.ReadOptions) -> splits.Split:
  """Lists the images of a split of COCO: 'train2017', 'val2017', 'test2017'.

  Raises:
    errors.UserError: see `coco_annotations.read_split`.
  """
  if options.spec:
    raise errors.UserError(
        '--spec=FILE.json belongs to --dataset=custom; COCO has a built-in '
        'spec')
  return _read(input_dir, split, dataset_spec.DatasetSpec.load('coco'), options)


def read_custom_split(input_dir: str, split: str,
                      options: splits.ReadOptions) -> splits.Split:
  """Lists the images of a split of custom data in COCO's layout.

  Raises:
    errors.UserError: see `coco_annotations.read_split`; no spec is given.
  """
  spec = options.load_spec('custom')
  return _read(input_dir, split, spec, options)


def _read(input_dir, split, spec, options) -> splits.Split:
  images = coco_annotations.read_split(
      input_dir,
      coco_annotations.source_split(input_dir, split, options.selection), spec)
  return splits.Split(
      name=split,
      spec=spec,
      images=options.selection.select(images, split),
      encode=functools.partial(
          coco_panoptic.encode, spec=spec, options=options),
      is_training=split.startswith('train'))
