"""Compares the outputs of an exported model with those of the trained one."""

import math
from typing import Callable, NamedTuple, Sequence, Tuple

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.export import compiled_signature, model_json
from axial_tf.files import images as images_lib
from axial_tf.files import model_folders, paths
from axial_tf.inference import classification as classifier_inference
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.panoptic import label_png

# The graph optimizer reorders float operations, so the outputs may differ in
# the last digits and a pixel on a border may change its segment.
_TOLERANCE = 1e-3
_MIN_AGREEMENT = 0.999


class Differences(NamedTuple):
  """The largest differences of an export from its model over samples.

  Attributes:
    values: largest difference of a head or of the probabilities, relative to
      its largest value above 1.
    agreement: share of equal results over all signatures: of the pixels of a
      panoptic map and its PNG, or of a classifier's answers.
    names: names of the two above in messages.
  """

  values: float
  agreement: float
  names: Sequence[str] = ('heads', 'pixels of the panoptic maps')

  def __str__(self):
    values, answers = self.names
    return (f'{values} differ by {self.values:.2g} at most, '
            f'{100 * self.agreement:.4f} % of the {answers} agree')

  def require_none(self) -> None:
    """Raises a UserError unless they can be explained by rounding."""
    if not (self.values <= _TOLERANCE and self.agreement >= _MIN_AGREEMENT):
      raise errors.UserError(
          f'the exported model disagrees with the trained one ({self}; '
          f'expected at most {_TOLERANCE:g} and at least '
          f'{100 * _MIN_AGREEMENT:g} %); is the network deterministic, and is '
          f'this the checkpoint that was exported?')


def compare(inference: model_json.Inference, folder: str,
            samples: Sequence[np.ndarray],
            of_task: Callable[..., Differences]) -> Differences:
  """Runs images through a SavedModel and the model that it was made from.

  Args:
    inference: the trained model.
    folder: folder of one exported version.
    samples: uint8 RGB [height, width, 3] images; if empty, generated ones.
    of_task: `compare_segments` or `compare_classes`.
  """
  serving = model_folders.read_model_json(folder)['serving']
  samples = samples or generated_samples(serving['max_pixels'])
  # Its reference keeps the variables alive.
  loaded = tf.saved_model.load(paths.literal(folder))
  signatures = loaded.signatures
  outputs = signatures['serving_default'](image_bytes=_files(samples))
  from_files = [[(outputs, row)] for row in range(len(samples))]
  size = serving.get('compiled_size')  # Earlier exports have no such entry.
  if size is not None:
    image = generated_image(*size)
    samples = [*samples, image]
    from_files.append([(signatures[compiled_signature.NAME](
        image_bytes=_files([image])), 0)])
  return of_task(inference, signatures, samples, from_files)


def compare_segments(
    inference: panoptic_inference.PanopticInference, signatures, samples,
    from_files) -> Differences:
  """Compares heads, panoptic maps and their PNGs."""
  inference = inference.served()
  head_difference, agreement = 0.0, 1.0
  for index, image in enumerate(samples):
    height, width = image.shape[:2]
    images = tf.constant(image)[tf.newaxis]
    original = inference(images)
    for key, value in signatures['heads'](image_tensor=images).items():
      head_difference = max(
          head_difference, relative_difference(value, original[key]))
    if inference.max_long_side is not None:  # The heads are not resized.
      original = inference.predict(images)
    expected = original['panoptic_map'][0].numpy()
    from_tensor = signatures['image_tensor'](image_tensor=images)
    for outputs, row in (*from_files[index], (from_tensor, 0)):
      panoptic_map = outputs['panoptic_map'][row, :height, :width].numpy()
      agreement = min(agreement, float(np.mean(panoptic_map == expected)))
      png = outputs['panoptic_png_bytes'][row].numpy()
      decoded = label_png.decode(png, 'panoptic_png_bytes')
      agreement = min(agreement, float(np.mean(decoded == expected)))
  return Differences(head_difference, agreement)


def compare_classes(
    inference: classifier_inference.ClassifierInference, signatures, samples,
    from_files) -> Differences:
  """Compares probabilities and the best classes."""
  difference, agreement = 0.0, 1.0
  names = np.array([entry.name for entry in inference.spec.classes])
  for index, image in enumerate(samples):
    images = tf.constant(image)[tf.newaxis]
    expected = inference(images).numpy()
    for outputs, row in (
        *from_files[index],
        (signatures['image_tensor'](image_tensor=images), 0)):
      classes, scores = (
          outputs[key][row].numpy() for key in ('classes', 'scores'))
      # Either of two equally probable classes may come first.
      is_right = np.abs(expected[0][classes] - scores) <= _TOLERANCE
      is_right &= np.abs(
          -np.sort(-expected[0])[:len(scores)] - scores) <= _TOLERANCE
      is_right &= np.char.decode(
          outputs['class_names'][row].numpy().astype(bytes), 'utf-8'
      ) == names[classes]
      agreement = min(agreement, float(np.mean(is_right)))
    found = signatures['probabilities'](image_tensor=images)['probabilities']
    difference = max(difference, relative_difference(found, expected))
  return Differences(difference, agreement, ('probabilities', 'answers'))


def _files(images: Sequence[np.ndarray]) -> tf.Tensor:
  return tf.constant([images_lib.png_bytes(image) for image in images])


def generated_samples(max_pixels: int) -> Sequence[np.ndarray]:
  """Two images, of different sizes unless limited by `max_pixels`."""
  return [generated_image(*within(size, max_pixels))
          for size in ((65, 97), (112, 80))]


def within(size: Tuple[int, int], max_pixels: int) -> Tuple[int, int]:
  """Returns a height and width with no more than `max_pixels` pixels."""
  if size[0] * size[1] <= max_pixels:
    return size
  limit = math.isqrt(max_pixels)
  return min(size[0], limit), min(size[1], limit)


def generated_image(height: int, width: int) -> np.ndarray:
  """Returns soft colored waves with noise, uint8 RGB [height, width, 3]."""
  y, x = np.mgrid[:height, :width] / 16
  waves = np.stack([np.sin(x + y), np.sin(2 * x - y), np.cos(x * y / 8)], -1)
  noise = np.random.default_rng(0).normal(scale=0.2, size=waves.shape)
  return np.uint8(np.clip(127.5 * (1 + waves + noise), 0, 255))


def relative_difference(value, expected) -> float:
  """Returns the largest difference, relative to the largest value above 1."""
  expected = np.asarray(expected)
  if np.shape(value) != expected.shape:
    return math.inf  # A model with other categories.
  scale = max(1.0, float(np.abs(expected).max(initial=0)))
  return float(np.abs(np.asarray(value) - expected).max(initial=0)) / scale
