"""Reads semantic PNGs: images whose values or colors are classes.

A PNG with one channel, or with a palette, holds category ids of the spec; one
with three holds the colors of its categories. Void is 0, or black, unless it
is a category, and 255 or the border color of PASCAL VOC unless that is one.
"""

from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from axial_tf import errors
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec
from data_prep.readers import label_records, panoptic_labels, source_images

VOID = -1
VOID_IDS = (0, 255)
VOID_COLORS = ((0, 0, 0), (224, 224, 192))
# Pillow's modes of one channel; the name for 16 bits depends on its version.
_ONE_CHANNEL = ['1', 'L', 'P', 'I;16', 'I']
_PALETTE_NOTICE = (
    'the PNG of classes has a palette, whose colors are also those of the '
    'spec; its values were read as ids')


class Raw(NamedTuple):
  """Values of a semantic or instance PNG.

  Attributes:
    values: int32 [height, width]: ids, or R + 256 G + 65536 B.
    has_colors: whether they are colors.
    palette: uint8 [colors, 3] if it has one, whatever its values mean.
  """

  values: np.ndarray
  has_colors: bool
  palette: Optional[np.ndarray]


class Classes(NamedTuple):
  """Classes of an image.

  Attributes:
    train_ids: int32 [height, width], VOID where there is none.
    notice: message to the user, see `splits.Encoded`.
  """

  train_ids: np.ndarray
  notice: Optional[str]


def read_raw(path: str, max_pixels: int) -> Raw:
  """Returns the values of a PNG with one channel, or its colors.

  Raises:
    errors.UserError: it is damaged, too large, partly transparent, or of
      another type.
  """
  _, image = source_images.read(path, max_pixels)
  if image.mode in ('RGB', 'RGBA', 'PA'):
    return Raw(label_png.from_image(image, path), True, None)
  return Raw(label_records.values_of(image, _ONE_CHANNEL, path), False,
             _palette(image))


def read(path: str, spec: dataset_spec.DatasetSpec, max_pixels: int) -> Classes:
  """Returns the class of each pixel.

  Raises:
    errors.UserError: as `read_raw`, or it has a value that the spec lacks.
  """
  raw = read_raw(path, max_pixels)
  known = _by_color(spec) if raw.has_colors else _by_id(spec)
  values = panoptic_labels.ids_in_order(raw.values)
  for value in values:
    if value not in known:
      raise errors.UserError(_unknown(value, raw, path, spec))
  values = np.sort(np.array(values, np.int64))
  train_ids = np.array([known[value] for value in values.tolist()], np.int32)
  is_ambiguous = raw.palette is not None and _has_colors_of(
      spec, raw.palette, values, train_ids)
  return Classes(train_ids[np.searchsorted(values, raw.values)],
                 _PALETTE_NOTICE if is_ambiguous else None)


def _palette(image: Image.Image) -> Optional[np.ndarray]:
  """Returns the colors of an image whose values are indices into them."""
  if image.mode != 'P':
    return None
  palette = np.reshape(image.getpalette('RGB'), [-1, 3])
  return None if (palette == palette[:, :1]).all() else palette


def _by_id(spec: dataset_spec.DatasetSpec) -> Dict[int, int]:
  """Returns train ids by category id."""
  return {**dict.fromkeys(VOID_IDS, VOID),
          **{c.id: c.train_id for c in spec.categories}}


def _by_color(spec: dataset_spec.DatasetSpec) -> Dict[int, int]:
  """Returns train ids by color, R + 256 G + 65536 B."""
  result = {color_number(color): VOID for color in VOID_COLORS}
  seen = {}
  for category in spec.categories:
    other = seen.setdefault(category.color, category)
    if other is not category:
      raise errors.UserError(
          f'spec {spec.name!r}: expected a color for each category, to read '
          f'PNGs of colors, got {category.color} for {other.name!r} and '
          f'{category.name!r}; change one')
    result[color_number(category.color)] = category.train_id
  return result


def color_number(color: Sequence[int]) -> int:
  """Returns R + 256 G + 65536 B."""
  return int(label_png.from_rgb(np.array(color, np.int32)))


def color_of(number: int) -> Tuple[int, int, int]:
  """Returns the color whose `color_number` it is."""
  return number & 255, number >> 8 & 255, number >> 16


def _unknown(value: int, raw: Raw, path: str,
             spec: dataset_spec.DatasetSpec) -> str:
  y, x = np.argwhere(raw.values == value)[0]
  found, wanted = f'value {value}', 'id'
  if raw.has_colors:
    found, wanted = f'color {color_of(value)}', 'color'
  return (f'{path}: its pixel in row {y}, column {x} has the {found}, '
          f'which is no {wanted} of a category '
          f'of the spec {spec.name!r}; add it there or correct the PNG '
          f'(one channel holds ids, three hold colors)')


def _has_colors_of(spec: dataset_spec.DatasetSpec, palette: np.ndarray,
                   values: np.ndarray, train_ids: np.ndarray) -> bool:
  """Whether the palette's colors are also the spec's, with other classes."""
  if values.max() >= len(palette):
    return False
  known = {**{color_number(color): VOID for color in VOID_COLORS},
           **{color_number(c.color): c.train_id for c in spec.categories}}
  found = [known.get(color_number(palette[value])) for value in values]
  return None not in found and found != train_ids.tolist()
