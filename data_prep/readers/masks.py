"""Reads images with semantic PNGs and, for things, instance PNGs.

The layouts are those of `mask_folders`. A semantic PNG holds ids or colors,
see `semantic_masks`; an instance PNG holds any numbers (or colors), 0 for none:
an instance is a class and a number.
"""

import dataclasses
import functools

import numpy as np

from axial_tf import errors
from axial_tf.specs import dataset_spec
from data_prep.readers import (
  label_records,
  label_segments,
  mask_folders,
  semantic_masks,
  splits,
)


def read_split(input_dir: str, split: str,
               options: splits.ReadOptions) -> splits.Split:
  """Lists the images of a split.

  Raises:
    errors.UserError: no spec is given, the folder has another layout, a name
      exists twice, or nothing tells the instances of things apart.
  """
  spec = options.load_spec('masks')
  if options.instances and options.paths.instance_dir:
    raise errors.UserError(
        '--instances=components takes the place of --instance_dir; leave one '
        'of them out')
  layout = mask_folders.find(input_dir, split, options)
  if spec.thing_ids and not (layout.instance_dir or options.instances):
    names = [c.name for c in spec.categories if c.is_thing]
    raise errors.UserError(
        f'{input_dir}: the things of the spec {spec.name!r} '
        f'({", ".join(names):.100}) need instance PNGs, but there is no folder '
        f'of them; give it by --instance_dir=DIR, or make each connected '
        f'component an instance by --instances=components')
  if not spec.thing_ids:
    layout = layout._replace(instance_dir=None)
  return splits.Split(
      name=split,
      spec=spec,
      images=options.selection.select(
          mask_folders.images(layout), split,
          layout.image_dir if layout.is_undivided else None),
      encode=functools.partial(encode, spec=spec, options=options),
      is_training=split.startswith('train'))


def encode(image: mask_folders.MaskImage, spec: dataset_spec.DatasetSpec,
           options: splits.ReadOptions) -> splits.Encoded:
  """Makes the record of one image: a pure function of its files.

  Raises:
    errors.UserError: a file is damaged or too large, the files differ in
      size, a value is not in the spec, or a class has too many instances.
  """
  classes, notice = semantic_masks.read(
      image.semantic_path, spec, options.max_pixels)
  instances = np.zeros_like(classes)
  if image.instance_path is not None:
    instances = semantic_masks.read_raw(
        image.instance_path, options.max_pixels).values
    label_records.check_same_size(
        classes, image.semantic_path, instances, image.instance_path)
  elif options.instances:
    instances = label_segments.components(classes, spec)
  id_map, segments = label_segments.from_instance_ids(classes, instances, spec)
  panoptic = label_segments.panoptic_label(
      id_map, segments, classes, None, spec, image.semantic_path,
      options.crowds)
  encoded = label_records.encode(
      image.filename, image.image_path, panoptic, image.semantic_path, spec,
      options)
  return dataclasses.replace(encoded, notice=notice)
