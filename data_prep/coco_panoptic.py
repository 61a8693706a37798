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
  if image.width is not None:
    picture.require_size(
        (image.width, image.height), 'the JSON', image.image_path)
  panoptic = None
  if image.label_path is not None:
    _, label = source_images.read(image.label_path, options.max_pixels)
    _check_label_size(label, image)
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


def _check_label_size(label: Image.Image,
                      image: coco_annotations.PanopticImage) -> None:
  if label.size != (image.width, image.height):
    raise errors.UserError(
        f'{image.label_path}: expected {image.width}x{image.height} pixels '
        f'(width x height) as the JSON says, got {label.width}x{label.height}; '
        f'check that image, PNG and JSON belong together')
