"""What a served model says about an image, as small objects."""

import dataclasses
import io
import os
from typing import Any, Mapping, Optional, Tuple, Union

import numpy as np
from PIL import Image

from axial_tf import errors
from axial_tf.files import images
from axial_tf.panoptic import label_png


@dataclasses.dataclass(frozen=True)
class ServedSegment:
  """One thing, or all pixels of one kind of stuff, in an image.

  Attributes:
    id: the value of its pixels in `Segmentation.panoptic_map`.
    label: the model's number of its category, from 0.
    score: certainty in 0..1.
    area: pixels.
    box: (ymin, xmin, ymax, xmax) in pixels, maxima exclusive.
    name: name of its category; None without the model.json.
    color: RGB of its category; likewise.
    is_thing: whether it is a single object; likewise.
  """

  id: int
  label: int
  score: float
  area: int
  box: Tuple[int, int, int, int]
  name: Optional[str] = None
  color: Optional[Tuple[int, int, int]] = None
  is_thing: Optional[bool] = None


@dataclasses.dataclass(frozen=True, eq=False)
class Segmentation:
  """What a server has found in one image.

  Attributes:
    panoptic_map: int32 [height, width], a segment's id at each of its pixels.
    segments: largest first.
    panoptic_png: the map as a PNG whose pixels are R + 256 G + 65536 B.
    spec: the categories (data.dataset_spec.DatasetSpec); None without the
      model.json.
  """

  panoptic_map: np.ndarray
  segments: Tuple[ServedSegment, ...]
  panoptic_png: bytes
  spec: Optional[Any] = None

  def picture(self, image: Union[images.ImageLike, bytes]) -> np.ndarray:
    """Returns the image under its colored, labeled segments, uint8 RGB.

    Args:
      image: the one that was sent.

    Raises:
      errors.UserError: the client was not given the model.json, or the image
        is another one.
    """
    if self.spec is None:
      raise errors.UserError(
          'a picture needs colors: give the client the model.json of the '
          'export')
    from axial_tf import visualize

    if isinstance(image, bytes):
      image = images.from_bytes(image, 'image')
    return visualize.panoptic_overlay(
        images.as_rgb(image), self.panoptic_map, self.spec, labels=True)


@dataclasses.dataclass(frozen=True)
class ServedClass:
  """How probable a class is for an image.

  Attributes:
    label: the model's number of the class, from 0.
    name: what a person reads.
    score: probability in 0..1.
  """

  label: int
  name: str
  score: float


Answer = Union[Segmentation, Tuple[ServedClass, ...]]


def read_spec(path: str):
  """Returns the categories of a model.json; None of a classifier's.

  Args:
    path: path of the file, or of the version's folder.

  Raises:
    errors.UserError: it cannot be read.
  """
  from axial_tf.files import versions
  from axial_tf.specs import dataset_spec

  if os.path.basename(path) == versions.MODEL_JSON:
    path = os.path.dirname(path) or '.'
  content = versions.read_model_json(path)
  if 'class_spec' in content:
    return None
  return dataset_spec.DatasetSpec.from_json(
      content.get('dataset_spec', {}), source=path)


def from_outputs(outputs: Mapping[str, Any], spec=None) -> Optional[Answer]:
  """Returns the outputs of `serving_default` for one image as an answer.

  Args:
    outputs: arrays, lists or numbers by name, without a batch axis.
    spec: spec of `read_spec`.

  Returns:
    None for an image that the model has marked as bad.

  Raises:
    errors.UserError: they are not those of an export of axial_tf, or have
      categories that the spec lacks.
  """
  try:
    if 'panoptic_png_bytes' in outputs:
      return _segmentation(outputs, spec)
    return _classes(outputs)
  except KeyError as error:
    raise errors.UserError(
        f'the answer lacks {error}: expected a model that axial_tf.export '
        f'wrote, got the outputs {", ".join(sorted(outputs)) or "none"}'
    ) from error


def _segmentation(outputs, spec) -> Optional[Segmentation]:
  count = int(outputs['num_segments'])
  if count < 0:
    return None
  png = outputs['panoptic_png_bytes']
  with Image.open(io.BytesIO(png)) as image:
    panoptic_map = label_png.from_image(image, 'the answer')
  segments = [ServedSegment(
      id=int(outputs['segment_ids'][row]),
      score=float(outputs['segment_scores'][row]),
      area=int(outputs['segment_areas'][row]),
      box=tuple(int(side) for side in outputs['segment_boxes'][row]),
      **_category(int(outputs['segment_classes'][row]), spec))
      for row in range(count)]
  segments.sort(key=lambda segment: -segment.area)
  return Segmentation(panoptic_map, tuple(segments), png, spec)


def _category(label: int, spec):
  if spec is None:
    return {'label': label}
  try:
    category = spec.category(label)
  except KeyError as error:
    raise errors.UserError(
        f'the model knows a category {label}, the model.json does not; give '
        f'the one of the served version') from error
  return {'label': label, 'name': category.name,
          'color': tuple(category.color), 'is_thing': category.is_thing}


def _classes(outputs) -> Optional[Tuple[ServedClass, ...]]:
  found = tuple(
      ServedClass(int(label), _text(name), float(score))
      for label, name, score in zip(
          outputs['classes'], outputs['class_names'], outputs['scores']))
  return None if found and found[0].label < 0 else found


def _text(name: Union[str, bytes]) -> str:
  return name.decode('utf-8') if isinstance(name, bytes) else name
