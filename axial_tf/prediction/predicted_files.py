"""Writes the results of an image: its map, segments, pictures."""

import json
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from axial_tf import errors, visualize
from axial_tf.files import atomic_files
from axial_tf.prediction import predictor, results

# Attributes of a segment in <stem>.json.
_SEGMENT_KEYS = ('id', 'category', 'name', 'score', 'area', 'box', 'is_thing')


_NOT_OF_HEADS = ('overlay', 'attention')


class Pictures(NamedTuple):
  """The pictures to draw.

  Attributes:
    names: names of the pictures, out of `earlier_results.PICTURES`.
    pixel: (y, x) whose attention is drawn; None for the middle of the image.
    layer: layer of the attention; None for the last one.
    head: head of the attention; None for the mean.
  """

  names: Sequence[str]
  pixel: Optional[Tuple[int, int]] = None
  layer: Optional[str] = None
  head: Optional[int] = None

  def check(self, model: predictor.Predictor) -> None:
    """Raises a UserError unless the model draws these pictures."""
    whole = [name for name in self.names if name != 'overlay']
    if whole and model.tiling is not None:
      raise errors.UserError(
          f'--pictures: {whole[0]} shows what the network makes of the whole '
          f'image, which --tile avoids; leave one of the two out')
    if 'attention' in self.names:
      model.check_attention(self.layer, self.head)
    for name in self.names:
      known = (*_NOT_OF_HEADS, *model.head_pictures)
      if name not in known:
        raise errors.UserError(
            f'--pictures: expected some of {", ".join(known)} for this model, '
            f'got {name}')

  def draw(self, model: predictor.Predictor, result: results.PanopticResult
           ) -> Dict[str, np.ndarray]:
    """Returns the pictures of a result by name, uint8 RGB.

    Raises:
      errors.UserError: the image has no such pixel.
    """
    drawn = {}
    if 'overlay' in self.names:
      drawn['overlay'] = overlay(result)
    of_heads = [name for name in self.names if name not in _NOT_OF_HEADS]
    if of_heads:
      pictures = model.heads(result).pictures()
      drawn.update({name: pictures[name] for name in of_heads})
    if 'attention' in self.names:
      height, width = result.panoptic_map.shape
      drawn['attention'] = model.attention(
          result.image, self.pixel or (height // 2, width // 2), self.layer,
          self.head)
    return drawn


def overlay(result: results.PanopticResult) -> np.ndarray:
  """Returns the image under its segments, above a legend, uint8 RGB."""
  shown = result.thinned()
  return visualize.stack([
      shown.picture, visualize.legend(
          shown.panoptic_map, shown.spec, shown.image.shape[1])])


def parse_pixel(text: Optional[str]) -> Optional[Tuple[int, int]]:
  """Returns (y, x) from a text such as 120,80.

  Raises:
    errors.UserError: the text has another form.
  """
  if text is None:
    return None
  try:
    y, x = map(int, text.split(','))
    if min(y, x) < 0:
      raise ValueError('negative')
  except ValueError as error:
    raise errors.UserError(
        f'--pixel: expected y,x such as 120,80, counted from the upper left '
        f'corner, got {text}') from error
  return y, x


def write_pictures(pictures: Dict[str, np.ndarray], stem: str) -> None:
  """Writes <stem>_<name>.png of each picture.

  Raises:
    errors.UserError: a file cannot be written.
  """
  for name, picture in pictures.items():
    visualize.save_png(picture, f'{stem}_{name}.png')


def write_segments(result: results.PanopticResult, stem: str) -> None:
  """Writes <stem>_panoptic.png and <stem>.json, each whole or not at all.

  Raises:
    errors.UserError: a file cannot be written.
  """
  atomic_files.write(f'{stem}_panoptic.png', result.panoptic_png)
  atomic_files.write(f'{stem}.json', segments_json(result))


def segments_json(result: results.PanopticResult) -> bytes:
  """Returns the content of <stem>.json."""
  height, width = result.panoptic_map.shape
  content = {
      'height': height, 'width': width,
      'void_id': result.spec.void_label,
      'label_divisor': result.spec.label_divisor,
      'segments': [{key: getattr(segment, key) for key in _SEGMENT_KEYS}
                   for segment in result.segments],
  }
  return (json.dumps(content, indent=1) + '\n').encode()
