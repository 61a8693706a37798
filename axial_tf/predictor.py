"""Image in, panoptic result out: the one-line Python API.

  predictor = axial_tf.Predictor('export')
  result = predictor('street.jpg')
  for segment in result.segments:
    print(segment.name, segment.score, segment.box)
"""

import dataclasses
import os
from typing import Any, Callable, Dict, Tuple

import numpy as np
import tensorflow as tf

from axial_tf import errors, images, visualize
from axial_tf.data import dataset_spec
from axial_tf.serving import versions


@dataclasses.dataclass(frozen=True)
class Segment:
  """One thing, or all pixels of one kind of stuff, in an image.

  Attributes:
    id: its label, the value of its pixels in `PanopticResult.panoptic_map`.
    category: id of its category in the data set's own numbering.
    name: of its category.
    score: certainty in 0..1.
    area: pixels.
    box: (ymin, xmin, ymax, xmax) in pixels, maxima exclusive.
    is_thing: whether it is a single object.
  """

  id: int
  category: int
  name: str
  score: float
  area: int
  box: Tuple[int, int, int, int]
  is_thing: bool


@dataclasses.dataclass(frozen=True, eq=False)
class PanopticResult:
  """What was found in one image.

  Attributes:
    panoptic_map: int32 [height, width], a segment's id at each of its pixels
      and `spec.void_label` elsewhere.
    segments: largest first.
    image: uint8 RGB [height, width, 3], as the network has seen it.
    spec: the categories.
  """

  panoptic_map: np.ndarray
  segments: Tuple[Segment, ...]
  image: np.ndarray
  spec: dataset_spec.DatasetSpec

  @property
  def picture(self) -> np.ndarray:
    """The image under its colored, labeled segments, uint8 RGB."""
    return visualize.panoptic_overlay(
        self.image, self.panoptic_map, self.spec, labels=True)


class Predictor:
  """Segments images with a trained or exported model."""

  def __init__(self, path: str):
    """Loads a model.

    Args:
      path: of an export (the highest version is taken), of one version in it,
        or of a training run's model_dir (its newest checkpoint is taken).

    Raises:
      errors.UserError: none of these is there, or it cannot be read.
    """
    path = os.fspath(path)
    if not tf.io.gfile.isdir(path):
      raise errors.UserError(
          f'{path}: no such folder; expected an export or a training run\'s '
          f'model_dir')
    existing = versions.versions(path)
    if versions.is_saved_model(path):
      self.spec, self._run = _load_version(path)
    elif existing:
      newest = os.path.join(path, str(existing[-1]))
      self.spec, self._run = _load_version(newest)
    elif tf.io.gfile.exists(os.path.join(path, 'config.gin')):
      self.spec, self._run = _load_run(path)
    else:
      raise errors.UserError(
          f'{path}: holds no model; expected an export (<version>/'
          f'{versions.SAVED_MODEL}) or a training run\'s model_dir '
          f'(config.gin and checkpoints)')

  def __call__(self, image: images.ImageLike) -> PanopticResult:
    """Segments one image of any size.

    Args:
      image: file name, Pillow image, or uint8 array [height, width, 3] (RGB)
        or [height, width] (grey); files are turned as their EXIF data says.

    Raises:
      errors.UserError: not an image, or too large for the memory.
    """
    pixels = images.as_rgb(image)
    try:
      outputs = self._run(tf.constant(pixels[np.newaxis]))
    except tf.errors.ResourceExhaustedError as error:
      name = image if isinstance(image, (str, os.PathLike)) else 'the image'
      raise errors.UserError(
          f'{name}: {pixels.shape[1]}x{pixels.shape[0]} pixels do not fit into '
          f'the memory; shrink it') from error
    outputs = {key: value[0].numpy() for key, value in outputs.items()}
    return PanopticResult(
        outputs['panoptic_map'], _segments(outputs, self.spec), pixels,
        self.spec)


def _segments(outputs: Dict[str, np.ndarray], spec) -> Tuple[Segment, ...]:
  found = []
  for row in range(outputs['num_segments']):
    category = spec.category(outputs['segment_classes'][row])
    found.append(Segment(
        id=int(outputs['segment_ids'][row]), category=category.id,
        name=category.name, score=float(outputs['segment_scores'][row]),
        area=int(outputs['segment_areas'][row]),
        box=tuple(outputs['segment_boxes'][row].tolist()),
        is_thing=category.is_thing))
  return tuple(sorted(found, key=lambda segment: -segment.area))


_Run = Callable[[tf.Tensor], Dict[str, Any]]


def _load_version(path: str) -> Tuple[dataset_spec.DatasetSpec, _Run]:
  """Loads one version of an export."""
  content = versions.read_model_json(path)
  try:
    spec = dataset_spec.DatasetSpec.from_json(
        content['dataset_spec'], source=os.path.join(path, versions.MODEL_JSON))
    loaded = tf.saved_model.load(path)
    loaded.signatures['image_tensor'].structured_outputs['num_segments']
  except (OSError, KeyError, TypeError, tf.errors.OpError) as error:
    raise errors.UserError(
        f'{path}: cannot be loaded as a SavedModel of axial_tf.export '
        f'({type(error).__name__}); it may be damaged: export the model '
        f'again') from error

  def run(image_tensor):
    # Going through `loaded` keeps the variables alive with the function.
    return loaded.signatures['image_tensor'](image_tensor=image_tensor)

  return spec, run


def _load_run(path: str) -> Tuple[dataset_spec.DatasetSpec, _Run]:
  """Builds the model of a training run with its newest checkpoint."""
  # Training brings gin and the Model Garden, which an export does without.
  from axial_tf.training import restore

  inference = restore.load_inference(path)
  return inference.spec, tf.function(
      inference.predict,
      input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
