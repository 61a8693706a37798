"""Encodes images with COCO panoptic labels, checking each one."""

from typing import Optional, Tuple

from PIL import Image

from axial_tf import errors
from axial_tf.data.panoptic import records
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec
from data_prep.readers import (
  coco_annotations,
  panoptic_labels,
  resizing,
  source_images,
  splits,
)


def encode(image: coco_annotations.PanopticImage,
           spec: dataset_spec.DatasetSpec,
           options: splits.ReadOptions) -> splits.Encoded:
  """Makes the record of one image: a pure function of its files.

  Raises:
    errors.UserError: a file is damaged or too large, or image, PNG, JSON and
      spec do not agree.
  """
  picture = source_images.read_for_record(image.image_path, options.max_pixels)
  size, label, panoptic = image.size, None, None
  if image.label_path is not None:
    _, label = source_images.read(image.label_path, options.max_pixels)
    if picture.image.size == label.size == size[::-1]:
      size = label.size  # Image and label outvote the JSON.
  picture.require_upright(size, image.image_path)
  _check_size(picture.image, size, image.image_path)
  if label is not None:
    _check_size(label, size, image.label_path)
    panoptic = panoptic_labels.panoptic_label(
        label_png.from_image(label, image.label_path), image.segments,
        spec, source=image.label_path, crowds=options.crowds)
  notice = splits.size_notice(image.size, size)
  content, image_format, decoded, panoptic = resizing.shrink(
      picture.content, picture.image_format, picture.image, panoptic,
      options.max_long_side)
  return splits.Encoded(
      records.encode_panoptic_example(
          content, image_format, image.filename, decoded.height, decoded.width,
          panoptic),
      {} if panoptic is None else splits.label_counts(panoptic, spec), notice)


def _check_size(decoded: Image.Image, size: Optional[Tuple[int, int]],
                path: str) -> None:
  if size is not None and decoded.size != size:
    raise errors.UserError(
        f'{path}: expected {size[0]}x{size[1]} pixels (width x '
        f'height) as the JSON says, got {decoded.width}x{decoded.height}; '
        f'check that image, PNG and JSON belong together')
