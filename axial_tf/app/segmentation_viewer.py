"""Answers the requests of a page about segments: numbers in, pictures out."""

import dataclasses
import time
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from axial_tf import errors
from axial_tf.app import (
  downloads,
  kept,
  magnification,
  overview,
  segmentation,
  uploads,
)
from axial_tf.inference import multi_scale
from axial_tf.prediction.results import PanopticResult

# What a picture shows, besides the heads.
SEGMENTS, IMAGE = 'segments', 'image'
MEAN = 'mean of all'  # In place of the number of a head.


class Choices(NamedTuple):
  """What a person has chosen on the page.

  Attributes:
    scales: scales of the views.
    flip: whether to add mirrored views.
    threshold: `MergingSettings.center_threshold`.
    window: `MergingSettings.nms_kernel`.
    limit: `MergingSettings.stuff_area_limit`.
    picture: what the picture shows, one of `SegmentationViewer.pictures`.
  """

  scales: Sequence[float]
  flip: bool
  threshold: float
  window: float
  limit: float
  picture: str = SEGMENTS


class Shown(NamedTuple):
  """What the page shows of a picture.

  Attributes:
    key: key of the picture; '' if there is none.
    message: line about the picture, or what is wrong with it, as HTML.
    picture: uint8 RGB; None if there is none.
    legend: the categories, as HTML.
    links: links to the files, as HTML.
    rows: see `overview.segment_rows`.
  """

  key: str
  message: str
  picture: Optional[np.ndarray] = None
  legend: str = ''
  links: str = ''
  rows: Sequence[List[Any]] = ()


@dataclasses.dataclass(eq=False)
class _Picture:
  """A picture that is kept, with the segments that are shown."""

  analysis: segmentation.Analysis
  result: Optional[PanopticResult] = None

  @property
  def bytes(self) -> int:
    return self.analysis.bytes


class SegmentationViewer:
  """Keeps pictures and what the network made of them.

  No method raises errors.UserError: what is wrong becomes a message.

  Attributes:
    model: the model.
    pictures: what the picture can show.
  """

  def __init__(self, model: segmentation.Segmentation,
               source: uploads.Uploads, kept_bytes: int):
    """Starts without pictures.

    Args:
      model: the model.
      source: reader of the pictures.
      kept_bytes: memory for what the network made of the latest ones.
    """
    self.model = model
    self.pictures = (SEGMENTS, IMAGE, *model.head_pictures)
    self._source = source
    self._kept = kept.Kept(kept_bytes)

  def open(self, path: Optional[str], choices: Choices, key: str = ''
           ) -> Shown:
    """Runs the network on a picture and shows its segments.

    Args:
      path: path of the picture; None for no picture any more.
      choices: choices on the page.
      key: key of the picture that was shown before.
    """
    if path is None:
      self._kept.drop(key)
      return Shown('', '')
    try:
      analysis = self.model.analyze(
          self._source.read(path), self._views(choices))
      picture = _Picture(analysis)
      return self._show(
          self._kept.add(picture, replaced=key), picture, choices,
          f'network {1000 * analysis.seconds:.0f} ms')
    except errors.UserError as error:
      self._kept.drop(key)
      return Shown('', overview.error(str(error)))

  def merge(self, key: str, choices: Choices) -> Shown:
    """Shows the segments with other settings; the network does not run."""
    if not key:
      return Shown('', '')
    try:
      return self._show(
          key, self._kept.get(key), choices, 'network not run again')
    except errors.UserError as error:
      return Shown(key, overview.error(str(error)))

  def attention(self, key: str, y: float, x: float, layer: Optional[str],
                head: str) -> Tuple[str, Optional[np.ndarray]]:
    """Returns a message, as HTML, and what a pixel attends to, uint8 RGB.

    Args:
      key: key of the picture.
      y: row of the pixel in the image.
      x: column of the pixel.
      layer: name of the layer; None for the last one.
      head: number of the head, from 0, or `MEAN`.
    """
    try:
      picture = self._kept.get(key)
      drawn = self.model.attention(
          picture.analysis, (_whole(y, 'y'), _whole(x, 'x')), layer or None,
          None if head in (None, MEAN) else _whole(head, 'head'))
      return '', drawn
    except errors.UserError as error:
      return overview.error(str(error)), None

  def pixel(self, key: str, y: float, x: float) -> Tuple[int, int]:
    """Returns (y, x) in the image of a pixel of its picture; 0, 0 without."""
    try:
      size = self._kept.get(key).result.panoptic_map.shape
    except errors.UserError:
      return 0, 0
    return tuple(
        min(place, side - 1) for place, side in zip(
            magnification.Magnification.of(*size).pixel(y, x), size))

  def heads(self, layer: str) -> List[str]:
    """Returns the names of a layer's heads, first that of their mean."""
    return [MEAN, *map(str, range(self.model.layers.get(layer, 0)))]

  def file(self, key: str, which: str) -> downloads.Download:
    """Makes one of `downloads.OF_SEGMENTS`.

    Raises:
      errors.UserError: there is no such picture or file.
    """
    picture = self._kept.get(key)
    return downloads.of(downloads.OF_SEGMENTS, which).make(
        picture.result, picture.analysis.upload.name)

  def _views(self, choices) -> multi_scale.MultiScaleSettings:
    if self.model.is_export:
      return self.model.views
    if not choices.scales:
      raise errors.UserError(
          'scales: expected at least one, got none; choose one')
    return multi_scale.MultiScaleSettings(
        tuple(sorted(map(float, choices.scales))), bool(choices.flip))

  def _merging(self, choices) -> Optional[segmentation.MergingSettings]:
    if self.model.merging is None:
      return None
    return dataclasses.replace(
        self.model.merging, center_threshold=float(choices.threshold),
        nms_kernel=_whole(choices.window, 'window'),
        stuff_area_limit=_whole(choices.limit, 'limit'))

  def _show(self, key, picture, choices, network: str) -> Shown:
    start = time.monotonic()
    picture.result = result = self.model.merge(
        picture.analysis, self._merging(choices))
    seconds = time.monotonic() - start
    height, width = result.panoptic_map.shape
    merging = '' if self.model.merging is None else (
        f', merging {1000 * seconds:.0f} ms')
    return Shown(
        key, overview.note(
            f'{picture.analysis.upload.name}: {width} x {height} pixels, '
            f'{len(result.segments)} segments; {network}{merging}'),
        self._picture(picture, choices.picture), overview.legend(result),
        downloads.links(downloads.OF_SEGMENTS, key),
        overview.segment_rows(result))

  def _picture(self, picture, which: str) -> np.ndarray:
    result = picture.result
    if which == SEGMENTS:
      return overview.overlay(result)
    if which == IMAGE:
      return magnification.readable(result.image)
    if which not in self.pictures:
      raise errors.UserError(
          f'picture: expected one of {", ".join(self.pictures)}, got {which}')
    drawn = self.model.pictures_of_heads(picture.analysis, result)[which]
    return magnification.readable(drawn)


def _whole(value, name: str) -> int:
  """Returns a number of a form as an integer.

  Raises:
    errors.UserError: it is missing, or not a number.
  """
  try:
    return int(value)
  except (TypeError, ValueError, OverflowError) as error:
    raise errors.UserError(
        f'{name}: expected a whole number, got {value}') from error
