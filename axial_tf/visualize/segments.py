"""Draws panoptic maps: colors, overlays, legends."""

import colorsys
from typing import Dict, Tuple

import numpy as np

from axial_tf import errors
from axial_tf.files import strips
from axial_tf.specs import dataset_spec
from axial_tf.visualize import canvas
from axial_tf.visualize import labels as labels_lib

_VOID_COLOR = (0, 0, 0)


def panoptic_colors(
    panoptic: np.ndarray, spec: dataset_spec.DatasetSpec) -> np.ndarray:
  """Returns a panoptic map in the colors of its categories.

  Each category keeps its color; the instances of a thing are lighter or
  darker variants of it, the same for the same instance number.

  Args:
    panoptic: integers [height, width], panoptic labels.
    spec: names and colors of the categories.

  Raises:
    errors.UserError: a label belongs to no category.
  """
  labels, index = _labels(panoptic)
  colors = np.array(
      [_segment_color(label, spec) for label in labels], np.uint8)
  return colors.reshape(-1, 3)[index]


def panoptic_overlay(
    image: np.ndarray, panoptic: np.ndarray, spec: dataset_spec.DatasetSpec,
    *, opacity: float = 0.55, labels: bool = False) -> np.ndarray:
  """Lays the colored segments, with thin borders, over the image.

  Args:
    image: uint8 RGB [height, width, 3].
    panoptic: integers [height, width], panoptic labels.
    spec: names and colors of the categories.
    opacity: opacity of the colors, from 0 (the image alone) to 1. Void is not
      colored.
    labels: whether to write the names of categories on segments with room for
      them.

  Raises:
    errors.UserError: image and map differ in size, or a label belongs to no
      category.
  """
  canvas.check_image(image)
  if image.shape[:2] != np.shape(panoptic):
    raise errors.UserError(
        f'expected a panoptic map of the image\'s size '
        f'{list(image.shape[:2])}, got {list(np.shape(panoptic))}')
  panoptic = np.asarray(panoptic)
  colors = panoptic_colors(panoptic, spec)
  # Lines of one pixel vanish when large pictures are displayed smaller.
  borders = _borders(panoptic, 1 + min(image.shape[:2]) // 700)
  picture = np.empty_like(image)
  for strip in strips.of(image.shape):
    weight = np.where(
        panoptic[strip] == spec.void_label, 0.0, opacity)[..., np.newaxis]
    blended = image[strip] * (1.0 - weight) + colors[strip] * weight
    blended[borders[strip]] *= 0.35
    picture[strip] = np.round(blended)
  return labels_lib.write(
      picture, panoptic, _names(panoptic, spec)) if labels else picture


def legend(panoptic: np.ndarray, spec: dataset_spec.DatasetSpec,
           width: int) -> np.ndarray:
  """Returns a strip [height, width, 3] naming the categories of a map.

  The largest category comes first; entries flow into as many rows as needed.
  The strip is wider where a name needs it.
  """
  labels, index = _labels(panoptic)
  area = np.bincount(index.reshape(-1), minlength=labels.size)
  by_category = {}
  for label, pixels in zip(labels.tolist(), area.tolist()):
    if label != spec.void_label:
      category = _category(label, spec)
      by_category[category] = by_category.get(category, 0) + pixels
  entries = sorted(by_category, key=by_category.get, reverse=True)
  return canvas.swatches(
      [(category.name, category.color) for category in entries], width)


def _labels(panoptic) -> Tuple[np.ndarray, np.ndarray]:
  """Returns the labels that occur and their indices, in the map's shape."""
  panoptic = np.asarray(panoptic)
  labels, index = np.unique(panoptic, return_inverse=True)
  return labels, index.reshape(panoptic.shape)


def _category(label: int, spec) -> dataset_spec.Category:
  try:
    return spec.category(label // spec.label_divisor)
  except KeyError as error:
    raise errors.UserError(
        f'expected labels of the categories of {spec.name!r} (train id * '
        f'{spec.label_divisor} + instance), got {label}; was the map made '
        f'with another spec?') from error


def _names(panoptic, spec) -> Dict[int, labels_lib.Name]:
  """Returns the names of a map's segments by their labels."""
  names = {}
  for label in np.unique(panoptic).tolist():
    if label != spec.void_label:
      category = _category(label, spec)
      names[label] = labels_lib.Name(category.name, category.is_thing)
  return names


def _segment_color(label: int, spec) -> Tuple[int, int, int]:
  label = int(label)
  if label == spec.void_label:
    return _VOID_COLOR
  category = _category(label, spec)
  instance = label % spec.label_divisor
  if not category.is_thing or instance == 0:
    return category.color
  return _vary(category.color, instance)


def _vary(color: Tuple[int, int, int], instance: int) -> Tuple[int, int, int]:
  """Shifts a color's hue a little and moves it towards white or black."""
  # Multiples of irrational numbers spread evenly over 0..1 for any count, and
  # keep consecutive numbers far apart.
  shade = (0.5 + (instance - 1) * 0.618034) % 1.0 - 0.5
  turn = (0.5 + (instance - 1) * 0.414214) % 1.0 - 0.5
  hue, lightness, saturation = colorsys.rgb_to_hls(*(c / 255 for c in color))
  turned = colorsys.hls_to_rgb(hue + 0.12 * turn, lightness, saturation)
  # Extreme colors have room in one direction only.
  goal = min(max(lightness, 0.35), 0.65) + 0.6 * shade
  if goal > lightness:
    target, amount = 1.0, (goal - lightness) / (1 - lightness)
  else:
    target, amount = 0.0, (lightness - goal) / max(lightness, 1e-6)
  return tuple(round(255 * (c + (target - c) * amount)) for c in turned)


def _borders(panoptic, thickness: int) -> np.ndarray:
  """True on the `thickness` pixels above and left of another segment."""
  panoptic = np.asarray(panoptic)
  is_border = np.zeros(panoptic.shape, bool)
  for step in range(1, thickness + 1):
    is_border[:-step] |= panoptic[:-step] != panoptic[step:]
    is_border[:, :-step] |= panoptic[:, :-step] != panoptic[:, step:]
  return is_border
