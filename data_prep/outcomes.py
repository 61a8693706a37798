"""What became of one image: its record, or the reason why there is none."""

import dataclasses
from typing import Any, Callable, Optional

import tensorflow as tf

from axial_tf import errors, paths
from data_prep import splits


@dataclasses.dataclass(frozen=True)
class Outcome:
  """One image of a split after its conversion; small enough to be sent.

  Attributes:
    filename: names the image to the user.
    encoded: its record; None if it is faulty.
    height: of the image in its record, pixels.
    width: of the image in its record, pixels.
    fault: what is wrong with it, one line; None if nothing is.
  """

  filename: str
  encoded: Optional[splits.Encoded] = None
  height: int = 0
  width: int = 0
  fault: Optional[str] = None


def of_image(encode: Callable[[Any], splits.Encoded], image) -> Outcome:
  """Encodes one image and checks that training will be able to read it."""
  name = paths.printable(image.filename)
  try:
    encoded = encode(image)
    height, width = _check_readable(encoded.serialized, name)
  except errors.UserError as error:
    return Outcome(
        name, fault=paths.printable(' '.join(str(error).split())))
  return Outcome(name, encoded, height, width)


def _check_readable(serialized: bytes, filename: str):
  """Decodes the image of a record with TensorFlow; returns its size.

  Pillow, with which the readers look at pictures, forgives some damage that
  TensorFlow does not, and the other way round.
  """
  features = tf.train.Example.FromString(serialized).features.feature
  height, width = (features[f'image/{side}'].int64_list.value[0]
                   for side in ('height', 'width'))
  try:
    decoded = tf.io.decode_image(
        features['image/encoded'].bytes_list.value[0], channels=3,
        expand_animations=False)
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'{filename}: damaged: TensorFlow cannot decode it '
        f'({error.message[:200]}); copy the data again') from error
  if decoded.shape != (height, width, 3):
    raise errors.UserError(
        f'{filename}: damaged: expected {height}x{width} pixels (height x '
        f'width) as its header says, TensorFlow decodes {decoded.shape[:2]}; '
        f'copy the data again')
  return height, width
