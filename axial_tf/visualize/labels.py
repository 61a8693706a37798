"""Writes names of segments in a picture: whole, legible, not overlapping."""

from typing import Dict, Iterator, List, NamedTuple, Tuple

import numpy as np
from PIL import Image, ImageDraw

from axial_tf.visualize import canvas

# The smallest legible font size, in pixels.
_SMALLEST = 9
# Number of the largest segments that are named.
_NAMED = 2000
# A thing's name may be this much wider than the thing.
_OVERHANG = 2


class Name(NamedTuple):
  """The text to write on a segment.

  Attributes:
    text: the name.
    is_thing: whether it may extend beyond the segment. Names of stuff would
      then be read as those of its neighbors.
  """

  text: str
  is_thing: bool


class _Place(NamedTuple):
  """A bar inside a segment: its center and its width."""

  x: float
  y: float
  room: int


def write(picture: np.ndarray, labels: np.ndarray, names: Dict[int, Name]
          ) -> np.ndarray:
  """Writes names on large segments, the largest first, where there is room.

  No name covers another one or extends beyond the picture.

  Args:
    picture: uint8 RGB [height, width, 3].
    labels: integers [height, width], the segment of each pixel, at least 0.
    names: names by label; other segments get none.
  """
  height, width = picture.shape[:2]
  largest = int(np.clip(min(height, width) / 30, 11, 40))
  sizes = sorted({largest, max(_SMALLEST, 3 * largest // 4), _SMALLEST})[::-1]
  # A line's height includes descenders and the dark outline.
  found, areas, middles = _measure(labels)
  order = np.argsort(-areas, kind='stable')[:_NAMED]
  if found.size > _NAMED:
    labels = np.where(np.isin(labels, found[order]), labels, -1)
  rows, *bars = (
      _wide_places(labels, middles, band)
      for band in (1, *(int(1.3 * size) + 3 for size in sizes)))
  lettered = Image.fromarray(picture)
  draw = ImageDraw.Draw(lettered)
  taken: List[Tuple[float, ...]] = []
  for label in found[order].tolist():
    if label not in names:
      continue
    for size, x, y in _candidates(label, names[label], sizes, bars, rows):
      style = {'font': canvas.font(size), 'anchor': 'mm',
               'stroke_width': max(1, size // 10)}
      box = draw.textbbox((x, y), names[label].text, **style)
      dx, dy = (_shift(box[axis], box[axis + 2], end)
                for axis, end in ((0, width), (1, height)))
      box = box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy
      inside = box[0] >= 0 and box[1] >= 0
      if inside and not any(_overlap(box, other) for other in taken):
        # White letters with a dark outline are legible on light and dark.
        draw.text((x + dx, y + dy), names[label].text, 'white',
                  stroke_fill='black', **style)
        taken.append(box)
        break
  return np.asarray(lettered)


def _candidates(label: int, name: Name, sizes, bars, rows
                ) -> Iterator[Tuple[int, float, float]]:
  """Yields size, x and y of places for a name, the best first."""
  for size, places in zip(sizes, bars):
    place = places.get(label)
    if place and canvas.font(size).getlength(name.text) + 4 <= place.room:
      yield size, place.x, place.y
  place = rows.get(label)
  if place and name.is_thing and canvas.font(_SMALLEST).getlength(
      name.text) <= _OVERHANG * place.room:
    yield _SMALLEST, place.x, place.y


def _shift(first: float, last: float, end: int) -> float:
  """Returns the shift that brings first..last into 0..end, if it fits."""
  return min(0, end - last) if last > end else max(0, -first)


def _overlap(one, other) -> bool:
  return (one[0] < other[2] and other[0] < one[2]
          and one[1] < other[3] and other[1] < one[3])


def _measure(labels: np.ndarray
             ) -> Tuple[np.ndarray, np.ndarray, Dict[int, float]]:
  """Returns the labels, their numbers of pixels, and their mean rows."""
  found, index, areas = np.unique(
      labels, return_inverse=True, return_counts=True)
  rows = np.repeat(np.arange(labels.shape[0]), labels.shape[1])
  means = np.bincount(index.reshape(-1), rows) / areas
  return found, areas, dict(zip(found.tolist(), means.tolist()))


def _wide_places(labels: np.ndarray, middles: Dict[int, float], band: int
                 ) -> Dict[int, _Place]:
  """Finds for each label a wide bar of `band` rows, near its middle row.

  Returns nothing for maps with fewer rows.
  """
  height, width = labels.shape
  if height < band:
    return {}
  # Whether each pixel starts a column of `band` rows of one label.
  same = np.ones([height - band + 1, width], bool)
  for row in range(1, band):
    same &= labels[row:row + height - band + 1] == labels[:height - band + 1]
  keys = np.where(same, labels[:height - band + 1], -1)
  best: Dict[int, Tuple[float, _Place]] = {}
  for y, line in enumerate(keys):
    starts = np.flatnonzero(np.diff(line, prepend=-2))
    lengths = np.diff(starts, append=width)
    for start, length in zip(starts.tolist(), lengths.tolist()):
      label = int(line[start])
      if label < 0:
        continue
      center = y + band / 2
      fitness = length - abs(center - middles[label])
      if label not in best or fitness > best[label][0]:
        best[label] = fitness, _Place(start + length / 2, center, length)
  return {label: place for label, (_, place) in best.items()}
