"""Image in, most probable classes out.

  classify = axial_tf.ImageClassifier('runs/cifar10')
  for entry in classify('cat.jpg', top=3):
    print(entry.name, entry.probability)
"""

import dataclasses
import os
from typing import Sequence, Tuple

import numpy as np
import tensorflow as tf

from axial_tf import errors, images
from axial_tf.data import classification_pipeline


@dataclasses.dataclass(frozen=True)
class ClassProbability:
  """How probable a class is for an image.

  Attributes:
    label: the model's number of the class, from 0.
    id: the class's name in the source, such as n01440764.
    name: what a person reads.
    probability: in 0..1.
  """

  label: int
  id: str
  name: str
  probability: float


class ImageClassifier:
  """Classifies images with the model of a training run."""

  def __init__(self, path: str):
    """Loads a model.

    Args:
      path: the model_dir of a training run; its newest checkpoint is taken.

    Raises:
      errors.UserError: there is no such run, or it cannot be read.
    """
    # Training brings gin and the Model Garden.
    from axial_tf.training import restore

    self._model, self.spec, self._data = restore.load_classifier(
        os.fspath(path))
    self._run = tf.function(
        lambda x: tf.nn.softmax(self._model(x, training=False)),
        input_signature=[
            tf.TensorSpec([None, *self._data.image_size, 3], tf.float32)])

  def __call__(self, image: images.ImageLike, top: int = 5
               ) -> Tuple[ClassProbability, ...]:
    """Returns the most probable classes of an image, the first one first.

    Args:
      image: file name, Pillow image, or uint8 array [height, width, 3] (RGB)
        or [height, width] (grey); files are turned as their EXIF data says.
        It is resized and cut as in validation.
      top: how many classes.

    Raises:
      errors.UserError: not an image.
    """
    return self.batch([image], top)[0]

  def batch(self, batch: Sequence[images.ImageLike], top: int = 5
            ) -> Tuple[Tuple[ClassProbability, ...], ...]:
    """Does the same for images of any sizes at once."""
    probabilities = self._run(tf.stack(
        [self._prepare(images.as_rgb(image)) for image in batch])).numpy()
    return tuple(map(lambda row: self._top(row, top), probabilities))

  def _prepare(self, pixels: np.ndarray) -> tf.Tensor:
    try:
      return classification_pipeline.center_crop(
          tf.constant(pixels), self._data.image_size,
          self._data.validation_resize)
    except tf.errors.ResourceExhaustedError as error:
      raise errors.UserError(
          f'an image of {pixels.shape[1]}x{pixels.shape[0]} pixels does not '
          f'fit into the memory; shrink it') from error

  def _top(self, probabilities: np.ndarray, top: int):
    best = np.argsort(-probabilities, kind='stable')[:top]
    return tuple(
        ClassProbability(
            int(label), self.spec.classes[label].id,
            self.spec.classes[label].name, float(probabilities[label]))
        for label in best)
