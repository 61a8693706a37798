"""Answers the requests of a page about the classes of pictures."""

import dataclasses
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from axial_tf import errors
from axial_tf.app import downloads, kept, magnification, overview, uploads
from axial_tf.prediction import image_classifier
from axial_tf.prediction.results import ClassProbability


class Shown(NamedTuple):
  """What the page shows of a picture.

  Attributes:
    key: key of the picture; '' if there is none.
    message: line about the picture, or what is wrong with it, as HTML.
    picture: uint8 RGB; None if there is none.
    bars: the classes with their probabilities, as HTML.
    links: links to the files, as HTML.
    rows: see `overview.class_rows`.
  """

  key: str
  message: str
  picture: Optional[np.ndarray] = None
  bars: str = ''
  links: str = ''
  rows: Sequence[List[Any]] = ()


@dataclasses.dataclass(frozen=True)
class _Picture:
  name: str
  classes: Tuple[ClassProbability, ...]

  @property
  def bytes(self) -> int:
    return 1000 * len(self.classes)  # Not worth measuring.


class ClassificationViewer:
  """Classifies pictures; what is wrong becomes a message."""

  def __init__(self, model: image_classifier.ImageClassifier,
               source: uploads.Uploads, kept_bytes: int):
    """Starts without pictures; the arguments are as in SegmentationViewer."""
    self.model = model
    self._source = source
    self._kept = kept.Kept(kept_bytes)

  def open(self, path: Optional[str], top: float, key: str = '') -> Shown:
    """Shows the most probable classes of a picture.

    Args:
      path: path of the picture; None for no picture any more.
      top: number of classes.
      key: key of the picture that was shown before.
    """
    self._kept.drop(key)
    if path is None:
      return Shown('', '')
    try:
      upload = self._source.read(path)
      classes = self.model(upload.pixels, int(top))
    except errors.UserError as error:
      return Shown('', overview.error(str(error)))
    key = self._kept.add(_Picture(upload.name, classes))
    height, width = upload.pixels.shape[:2]
    return Shown(
        key, overview.note(f'{upload.name}: {width} x {height} pixels'),
        magnification.readable(upload.pixels), overview.class_bars(classes),
        downloads.links(downloads.OF_CLASSES, key),
        overview.class_rows(classes))

  def file(self, key: str, which: str) -> downloads.Download:
    """Makes one of `downloads.OF_CLASSES`.

    Raises:
      errors.UserError: there is no such picture or file.
    """
    picture = self._kept.get(key)
    return downloads.of(downloads.OF_CLASSES, which).make(
        picture.classes, picture.name)
