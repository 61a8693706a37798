"""Defines the results for an image: for `Predictor`, files and the client.

Needs no TensorFlow, so that a client of a server can run without it.
"""

import dataclasses
import functools
from typing import Any, Mapping, Optional, Tuple, Union

import numpy as np

from axial_tf import errors
from axial_tf.evaluation import label_maps
from axial_tf.files import images
from axial_tf.panoptic import label_png
from axial_tf.specs import dataset_spec

# Pixels of the largest picture; more take too much memory and help nobody.
_DRAWN = 2 ** 25


@dataclasses.dataclass(frozen=True)
class Segment:
  """One thing, or all pixels of one stuff category, in an image.

  The last four attributes are None in a client without the model.json.

  Attributes:
    id: its label, the value of its pixels in `PanopticResult.panoptic_map`.
    label: the model's number of its category, from 0.
    score: confidence in 0..1; None for a map without scores.
    area: pixels.
    box: (ymin, xmin, ymax, xmax) in pixels, maxima exclusive.
    category: id of its category in the data set's own numbering.
    name: name of its category.
    color: RGB of its category.
    is_thing: whether it is a single object.
  """

  id: int
  label: int
  score: Optional[float]
  area: int
  box: Tuple[int, int, int, int]
  category: Optional[int] = None
  name: Optional[str] = None
  color: Optional[Tuple[int, int, int]] = None
  is_thing: Optional[bool] = None


@dataclasses.dataclass(frozen=True, eq=False)
class PanopticResult:
  """The segmentation of one image.

  Attributes:
    panoptic_map: int32 [height, width], a segment's id at each of its pixels
      and `spec.void_label` elsewhere.
    segments: largest first.
    source: uint8 RGB [height, width, 3] or the content of an image file; None
      if there is only the map.
    spec: the categories; None for a client without the model.json.
  """

  panoptic_map: np.ndarray
  segments: Tuple[Segment, ...]
  source: Union[np.ndarray, bytes, None] = None
  spec: Optional[dataset_spec.DatasetSpec] = None

  @classmethod
  def from_table(
      cls, panoptic_map: np.ndarray, table: Mapping[str, Any],
      spec: Optional[dataset_spec.DatasetSpec],
      source: Union[np.ndarray, bytes, None] = None) -> 'PanopticResult':
    """Makes the result from a model's outputs for one image.

    Args:
      panoptic_map: int32 [height, width].
      table: see `panoptic.segments.segment_table`, as arrays, lists, numbers.
      spec: categories of the model, if known.
      source: see above.

    Raises:
      errors.UserError: the table has a category that the spec lacks.
      KeyError: the table lacks a column.
    """
    return cls._of_rows(panoptic_map, spec, source, (
        [table[f'segment_{column}'][row] for column in (
            'ids', 'classes', 'scores', 'areas', 'boxes')]
        for row in range(int(table['num_segments']))))

  @classmethod
  def from_map(
      cls, panoptic_map: np.ndarray, spec: dataset_spec.DatasetSpec,
      scores: Optional[Mapping[int, float]] = None,
      source: Union[np.ndarray, bytes, None] = None) -> 'PanopticResult':
    """Measures the segments of a map of any origin.

    Args:
      panoptic_map: integers [height, width], panoptic labels.
      spec: meaning of the labels.
      scores: score of each label that has one.
      source: see above.

    Raises:
      errors.UserError: a label is not legal.
    """
    found, areas, boxes = label_maps.segments(panoptic_map, spec)
    ids = found.ids.tolist()
    return cls._of_rows(
        np.asarray(panoptic_map), spec, source,
        zip(ids, found.classes, map((scores or {}).get, ids), areas, boxes))

  @classmethod
  def _of_rows(cls, panoptic_map, spec, source, rows) -> 'PanopticResult':
    segments = [
        Segment(int(label), int(train_id),
                None if score is None else float(score), int(area),
                tuple(map(int, box)), *_category(int(train_id), spec))
        for label, train_id, score, area, box in rows]
    segments.sort(key=lambda segment: -segment.area)
    return cls(panoptic_map, tuple(segments), source, spec)

  @functools.cached_property
  def image(self) -> Optional[np.ndarray]:
    """The image, uint8 RGB [height, width, 3]."""
    if isinstance(self.source, bytes):
      return images.from_bytes(self.source, 'image')
    return self.source

  def thinned(self) -> 'PanopticResult':
    """Returns the result with a map and an image small enough to draw.

    Those of more than `_DRAWN` pixels keep each n-th row and column.
    """
    step = 1
    while self.panoptic_map.size > step ** 2 * _DRAWN:
      step += 1
    if step == 1:
      return self
    return dataclasses.replace(
        self, panoptic_map=self.panoptic_map[::step, ::step],
        source=None if self.image is None else np.ascontiguousarray(
            self.image[::step, ::step]))

  @property
  def picture(self) -> np.ndarray:
    """The image under its colored, labeled segments, uint8 RGB.

    Of more than 2 ** 25 pixels, it shows each n-th row and column.

    Raises:
      errors.UserError: there is no image, or no spec with colors.
    """
    if self.spec is None:
      raise errors.UserError(
          'a picture needs colors: give the client the model.json of the '
          'export')
    if self.image is None:
      raise errors.UserError('a picture needs the image; this result has none')
    from axial_tf import visualize  # Not needed by a client that draws nothing.

    drawn = self.thinned()
    return visualize.panoptic_overlay(
        drawn.image, drawn.panoptic_map, self.spec, labels=True)

  @property
  def panoptic_png(self) -> bytes:
    """The map as a PNG file, see `label_png`."""
    return label_png.encode(self.panoptic_map)

  def things(self) -> Tuple[Segment, ...]:
    """Returns the things by ascending id.

    Raises:
      errors.UserError: one has no score.
    """
    found = sorted(
        (segment for segment in self.segments if segment.is_thing),
        key=lambda segment: segment.id)
    for segment in found:
      if segment.score is None:
        raise errors.UserError(
            f'expected a score for every thing, got none for segment '
            f'{segment.id} ({segment.name})')
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class ClassProbability:
  """The probability of a class for an image.

  Attributes:
    label: the model's number of the class, from 0.
    id: name of the class in the source, such as n01440764; None from a server.
    name: name for display.
    probability: probability in 0..1.
  """

  label: int
  id: Optional[str]
  name: str
  probability: float

  @property
  def score(self) -> float:
    """The probability, under the name that servers use."""
    return self.probability


def _category(train_id: int, spec: Optional[dataset_spec.DatasetSpec]):
  """Returns the last four attributes of a `Segment`."""
  if spec is None:
    return ()
  try:
    category = spec.category(train_id)
  except KeyError as error:
    raise errors.UserError(
        f'the model has a category {train_id}, the model.json does not; give '
        f'the one of the served version') from error
  return (category.id, category.name, tuple(category.color),
          category.is_thing)
