"""Encodes one image: into its record, or the reason why there is none."""

import dataclasses
from typing import Any, Callable, Optional

import tensorflow as tf

from axial_tf import errors
from axial_tf.files import paths
from data_prep.readers import splits


@dataclasses.dataclass(frozen=True)
class Outcome:
  """The result for one image; small enough to send between processes.

  Attributes:
    filename: name of the image in messages.
    encoded: its record; None if it is faulty.
    height: height of the image in its record, pixels.
    width: width of the image in its record, pixels.
    fault: problem of the image, one line; None if there is none.
  """

  filename: str
  encoded: Optional[splits.Encoded] = None
  height: int = 0
  width: int = 0
  fault: Optional[str] = None


def of_image(encode: Callable[[Any], splits.Encoded], image) -> Outcome:
  """Encodes one image."""
  name = paths.printable(image.filename)
  try:
    encoded = encode(image)
  except errors.UserError as error:
    return Outcome(
        name, fault=paths.printable(' '.join(str(error).split())))
  features = tf.train.Example.FromString(encoded.serialized).features.feature
  height, width = (features[f'image/{side}'].int64_list.value[0]
                   for side in ('height', 'width'))
  return Outcome(name, encoded, height, width)
