"""Encodes images with COCO panoptic labels, checking each one."""

from PIL import Image

from axial_tf import errors
from axial_tf.data import dataset_spec, records
from data_prep import (
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
  picture.require_upright((image.width, image.height), image.image_path)
  _check_size(picture.image, image, image.image_path)
  panoptic = None
  if image.label_path is not None:
    _, label = source_images.read(image.label_path, options.max_pixels)
    _check_size(label, image, image.label_path)
    panoptic = panoptic_labels.panoptic_label(
        panoptic_labels.segment_ids(label, image.label_path), image.segments,
        spec, source=image.label_path, crowds=options.crowds)
  content, image_format, decoded, panoptic = resizing.shrink(
      picture.content, picture.image_format, picture.image, panoptic,
      options.max_long_side)
  return splits.Encoded(
      records.encode_panoptic_example(
          content, image_format, image.filename, decoded.height, decoded.width,
          panoptic),
      {} if panoptic is None else splits.label_counts(panoptic, spec))


def _check_size(decoded: Image.Image, image: coco_annotations.PanopticImage,
                path: str) -> None:
  if image.width is None:
    return
  if decoded.size != (image.width, image.height):
    raise errors.UserError(
        f'{path}: expected {image.width}x{image.height} pixels (width x '
        f'height) as the JSON says, got {decoded.width}x{decoded.height}; '
        f'check that image, PNG and JSON belong together')
