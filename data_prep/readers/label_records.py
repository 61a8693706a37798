"""Encodes records of images whose labels are separate images or instances."""

from typing import List, Optional, Tuple

import numpy as np
from PIL import Image

from axial_tf import errors
from axial_tf.data.panoptic import records
from axial_tf.specs import dataset_spec
from data_prep.readers import resizing, source_images, splits


def encode(filename: str, image_path: str, panoptic: Optional[np.ndarray],
           label_path: Optional[str], spec: dataset_spec.DatasetSpec,
           options: splits.ReadOptions,
           stated_size: Optional[Tuple[int, int]] = None) -> splits.Encoded:
  """Makes the record of one image and its panoptic label, if it has one.

  Args:
    filename: file name for the record.
    image_path: path of the image.
    panoptic: int32 [height, width], or None.
    label_path: path of the label, for errors.
    spec: spec of the data set.
    options: options with the limits of sizes.
    stated_size: (width, height) from a JSON.

  Raises:
    errors.UserError: the image is damaged or differs in size from its label.
  """
  picture = source_images.read_for_record(image_path, options.max_pixels)
  image = picture.image
  if panoptic is not None and panoptic.shape != (image.height, image.width):
    picture.require_upright(panoptic.shape[::-1], image_path)
    raise errors.UserError(
        f'{label_path}: expected {image.width}x{image.height} pixels (width x '
        f'height) as in {image_path}, got '
        f'{panoptic.shape[1]}x{panoptic.shape[0]}; check that they belong '
        f'together')
  notice = splits.size_notice(stated_size, image.size)
  content, image_format, image, panoptic = resizing.shrink(
      picture.content, picture.image_format, image, panoptic,
      options.max_long_side)
  return splits.Encoded(
      records.encode_panoptic_example(
          content, image_format, filename, image.height, image.width,
          panoptic),
      {} if panoptic is None else splits.label_counts(panoptic, spec), notice)


def read_values(path: str, modes: List[str], max_pixels: int) -> np.ndarray:
  """Returns the values of a label image with one channel, int32.

  With a palette, the values are the indices into it or, if all its colors are
  grey (a grey image that some tool has compressed), the grey values.

  Raises:
    errors.UserError: damaged, too large, or of another Pillow mode than
      `modes`.
  """
  _, image = source_images.read(path, max_pixels)
  return values_of(image, modes, path)


def values_of(image: Image.Image, modes: List[str], path: str) -> np.ndarray:
  """Returns the values of an image that is open, see `read_values`."""
  if image.mode not in modes:
    raise errors.UserError(
        f'{path}: expected a PNG with one channel of ids (mode '
        f'{" or ".join(modes)}), got mode {image.mode}; copy the data again')
  if image.mode == 'P':
    palette = np.reshape(image.getpalette('RGB'), [-1, 3])
    if (palette == palette[:, :1]).all():
      image = image.convert('L')
  return np.asarray(image).astype(np.int32)


def check_same_size(label: np.ndarray, label_path: str, check: np.ndarray,
                    check_path: str) -> None:
  """Compares the sizes of two label images, [height, width] each.

  Raises:
    errors.UserError: they differ.
  """
  if label.shape != check.shape:
    raise errors.UserError(
        f'{check_path}: has {check.shape[1]}x{check.shape[0]} pixels (width x '
        f'height), {label_path} has {label.shape[1]}x{label.shape[0]}; '
        f'check that they belong together')


def check_same_classes(classes: np.ndarray, label_path: str,
                       check: np.ndarray, check_path: str) -> None:
  """Compares the classes of two label images, [height, width] each.

  Raises:
    errors.UserError: they differ in size or in a pixel.
  """
  check_same_size(classes, label_path, check, check_path)
  if not np.array_equal(classes, check):
    y, x = np.argwhere(classes != check)[0]
    raise errors.UserError(
        f'{check_path}: its pixel in row {y}, column {x} says class '
        f'{check[y, x]}, {label_path} says {classes[y, x]}; check that they '
        f'belong together')
