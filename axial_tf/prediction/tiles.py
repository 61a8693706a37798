"""Cuts large images into overlapping tiles, and joins their segments.

Each pixel takes its label from the tile in which it lies most centrally: the
cut lines are in the middle of the overlaps. Both of two neighboring tiles see a
band along their cut line. Things of theirs are one if they have the same class
and, in the band, an IoU above one third. A thing on which the two do not agree
ends at the cut line; one that a tile splits into halves is that of the other
tile. Chains of pairs, such as around a corner where four tiles meet, are one
thing.

The band leaves out what is near the borders of the tiles: a thing whose center
is outside of a tile is taken for a part of another thing there.
"""

import dataclasses
from typing import Dict, Iterator, List, NamedTuple, Optional

import numpy as np

from axial_tf import errors
from axial_tf.evaluation import label_maps
from axial_tf.files import strips
from axial_tf.prediction import results
from axial_tf.specs import dataset_spec

# Networks have an output stride of up to 32 pixels.
_SMALLEST = 32
# Above one half, a thing that one tile splits into halves would stay in parts.
_LEAST_IOU = 1 / 3
# Share of an overlap that the band takes on each side of the cut line.
_BAND = 1 / 8


@dataclasses.dataclass(frozen=True)
class Tiling:
  """Sizes of the tiles.

  Attributes:
    tile: side of the square tiles, in pixels.
    overlap: pixels that neighboring tiles share at least.
  """

  tile: int
  overlap: int

  @classmethod
  def of(cls, tile: Optional[int], overlap: Optional[int]
         ) -> Optional['Tiling']:
    """Returns the tiling of a user's options; None without a tile.

    Args:
      tile: side of the tiles.
      overlap: pixels that they share; None for a quarter of the tile.

    Raises:
      errors.UserError: the tile is too small, the overlap is more than half of
        it or is given without a tile, or one is not an integer.
    """
    for name, value in (('tile', tile), ('overlap', overlap)):
      if value is not None and not isinstance(value, (int, np.integer)):
        raise errors.UserError(
            f'{name}: expected a whole number of pixels, got {value!r}')
    if tile is None:
      if overlap is not None:
        raise errors.UserError(
            f'overlap: belongs to tiles, got {overlap} without a tile; give '
            f'the side of the tiles, too')
      return None
    if tile < _SMALLEST:
      raise errors.UserError(
          f'tile: expected a side of at least {_SMALLEST} pixels, the output '
          f'stride of a network, got {tile}')
    overlap = tile // 4 if overlap is None else overlap
    if not 1 <= overlap <= tile // 2:
      raise errors.UserError(
          f'overlap: expected 1 to {tile // 2} pixels, half of the tile, got '
          f'{overlap}')
    return cls(tile, overlap)

  def fits(self, height: int, width: int) -> bool:
    """Whether an image is no larger than a tile."""
    return max(height, width) <= self.tile

  def grid(self, height: int, width: int) -> 'Grid':
    """Returns the tiles of an image."""
    return Grid(self._spans(height), self._spans(width))

  def _spans(self, size: int) -> List['Span']:
    # The last tile is moved inward, so that all have one size.
    starts = [*range(0, size - self.tile, self.tile - self.overlap),
              max(size - self.tile, 0)]
    stops = [min(start + self.tile, size) for start in starts]
    overlaps = [(start, stop) for start, stop in zip(starts[1:], stops)]
    cuts = [0, *(sum(ends) // 2 for ends in overlaps), size]
    halves = [0, *(max(1, int(_BAND * (stop - start)))
                   for start, stop in overlaps), 0]
    return [
        Span(starts[i], stops[i], cuts[i], cuts[i + 1],
             max(cuts[i] - halves[i], starts[i]),
             min(cuts[i + 1] + halves[i + 1], stops[i]))
        for i in range(len(starts))]


class Span(NamedTuple):
  """Extent of a tile along one axis, in pixels of the image.

  Attributes:
    start: first pixel.
    stop: end of the pixels, exclusive.
    first: first pixel that takes its label from this tile.
    end: end of these pixels, exclusive.
    near: first pixel of the band along the cut line before them.
    near_end: end of the band along the cut line after them, exclusive.
  """

  start: int
  stop: int
  first: int
  end: int
  near: int
  near_end: int

  @property
  def own(self) -> slice:
    """The pixels that take their labels from this tile, counted in it."""
    return slice(self.first - self.start, self.end - self.start)


class Grid(NamedTuple):
  """The tiles of an image.

  Attributes:
    rows: extents from top to bottom.
    columns: extents from left to right.
  """

  rows: List[Span]
  columns: List[Span]

  @property
  def count(self) -> int:
    """The number of tiles."""
    return len(self.rows) * len(self.columns)

  def windows(self, image: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the tiles of an image [height, width, 3], row by row."""
    for row in self.rows:
      for column in self.columns:
        yield image[row.start:row.stop, column.start:column.stop]


class Mosaic:
  """The segments of an image, to which its tiles are added row by row.

  While tiles are added, a pixel holds the number of a piece: a thing of one
  tile, or a category of stuff in all of them; 0 is void.
  """

  def __init__(self, grid: Grid, spec: dataset_spec.DatasetSpec):
    """Allocates the map.

    Args:
      grid: tiles of the image.
      spec: categories of the model.
    """
    self._grid, self._spec = grid, spec
    self._map = np.zeros(
        [grid.rows[-1].stop, grid.columns[-1].stop], np.int32)
    self._count = 0
    self._stuff = {train_id: piece for piece, train_id in enumerate(
        spec.stuff_ids, start=1)}
    # By piece: train id, pixels, sum of the scores of its pixels, and an
    # earlier piece of the same thing, or itself.
    self._classes = [spec.ignore_label, *spec.stuff_ids]
    self._areas = [0] * len(self._classes)
    self._scores = [0.0] * len(self._classes)
    self._earlier = list(range(len(self._classes)))
    # Bands of the previous tile, and of the previous row by column.
    self._left = np.empty([0, 0], np.int32)
    self._above: Dict[int, np.ndarray] = {}

  def add(self, tile: results.PanopticResult) -> None:
    """Adds the result of the next tile, see `Grid.windows`."""
    y, x = divmod(self._count, len(self._grid.columns))
    self._count += 1
    row, column = self._grid.rows[y], self._grid.columns[x]
    pieces = self._write(tile, row, column)[
        row.near - row.start:row.near_end - row.start,
        column.near - column.start:column.near_end - column.start]
    if x > 0:
      self._join(self._left, pieces[:, :self._left.shape[1]])
    if y > 0:
      above = self._above.pop(x)
      self._join(above, pieces[:above.shape[0]])
    if x + 1 < len(self._grid.columns):
      self._left = pieces[:, self._grid.columns[x + 1].near - column.near:]
    if y + 1 < len(self._grid.rows):
      # A copy: the rest of the tile is not kept.
      self._above[x] = pieces[self._grid.rows[y + 1].near - row.near:].copy()

  def finish(self, source: Optional[np.ndarray], stuff_area_limit: int = 0,
             void_at_limit: bool = False) -> results.PanopticResult:
    """Returns the segmentation of the image, after all tiles.

    The score of a segment is the mean over its pixels of the score that it has
    in the tile of the pixel. Things of a class count from 1; if there are more
    than the label_divisor allows, the result's spec has a larger one.

    Args:
      source: uint8 RGB [height, width, 3].
      stuff_area_limit: see `MergingSettings`.
      void_at_limit: see `MergingSettings.void_stuff_at_limit`.

    Raises:
      errors.UserError: there are more things than labels.
    """
    for piece, earlier in enumerate(self._earlier):
      if earlier != piece:
        # The earlier one is the first of all already.
        first = self._earlier[piece] = self._earlier[earlier]
        self._areas[first] += self._areas[piece]
        self._scores[first] += self._scores[piece]
    numbers: Dict[int, int] = {}
    kept = []
    for piece in range(1, len(self._earlier)):
      if self._earlier[piece] != piece or not self._areas[piece]:
        continue
      train_id, number = self._classes[piece], 0
      if train_id in self._stuff:
        if self._areas[piece] < stuff_area_limit + void_at_limit:
          continue
      else:
        number = numbers[train_id] = numbers.get(train_id, 0) + 1
      kept.append((piece, train_id, number))
    spec = self._spec.with_room(max(numbers.values(), default=0))
    labels = np.full(len(self._earlier), spec.void_label, np.int32)
    scores = {}
    for piece, train_id, number in kept:
      label = labels[piece] = train_id * spec.label_divisor + number
      scores[int(label)] = self._scores[piece] / self._areas[piece]
    labels = labels[self._earlier]
    for strip in strips.of(self._map.shape):
      self._map[strip] = labels[self._map[strip]]
    return results.PanopticResult.from_map(self._map, spec, scores, source)

  def _write(self, tile: results.PanopticResult, row: Span, column: Span
             ) -> np.ndarray:
    """Copies a tile's own pixels; returns the pieces of all its pixels."""
    segments = sorted(tile.segments, key=lambda segment: segment.id)
    numbers = [0]
    for segment in segments:
      if segment.label in self._stuff:
        numbers.append(self._stuff[segment.label])
        continue
      numbers.append(len(self._classes))
      self._earlier.append(len(self._classes))
      self._classes.append(segment.label)
      self._areas.append(0)
      self._scores.append(0.0)
    ids = np.array([segment.id for segment in segments], np.int64)
    place = np.searchsorted(ids, tile.panoptic_map, 'right')
    is_segment = np.append(-1, ids)[place] == tile.panoptic_map
    place = np.where(is_segment, place, 0)
    own = place[row.own, column.own]
    counts = np.bincount(own.reshape(-1), minlength=len(numbers)).tolist()
    for piece, pixels, segment in zip(numbers[1:], counts[1:], segments):
      self._areas[piece] += pixels
      self._scores[piece] += pixels * segment.score
    pieces = np.array(numbers, np.int32)[place]
    self._map[row.first:row.end, column.first:column.end] = pieces[
        row.own, column.own]
    return pieces

  def _join(self, one: np.ndarray, other: np.ndarray) -> None:
    """Joins the things of two tiles by their pieces in the band."""
    first, second, shared = label_maps.value_pairs(one, other)
    areas = (np.bincount(pieces, shared) for pieces in (first, second))
    first_area, second_area = (
        area[pieces] for area, pieces in zip(areas, (first, second)))
    iou = shared / (first_area + second_area - shared)
    things = len(self._stuff)
    for index in np.flatnonzero(
        (iou > _LEAST_IOU) & (first > things) & (second > things)):
      pair = int(first[index]), int(second[index])
      if self._classes[pair[0]] == self._classes[pair[1]]:
        low, high = sorted(map(self._first, pair))
        self._earlier[high] = low

  def _first(self, piece: int) -> int:
    while self._earlier[piece] != piece:
      piece = self._earlier[piece]
    return piece
