"""Classifies images with one line of Python.

  classify = axial_tf.ImageClassifier('runs/cifar10')
  for entry in classify('cat.jpg', top=3):
    print(entry.name, entry.probability)
"""

from typing import Sequence, Tuple

import numpy as np

from axial_tf import memory
from axial_tf.files import images, model_folders
from axial_tf.layers import compilation
from axial_tf.prediction import loaded_model
from axial_tf.prediction.results import ClassProbability


class ImageClassifier:
  """Classifies images with a trained or exported model."""

  def __init__(self, path: str, *, compile: compilation.Mode = 'auto'):
    """Loads a model.

    Args:
      path: path of an export (the highest version is used), of one version in
        it, or of a training run's model_dir (its newest checkpoint is used).
      compile: as in `Predictor`.

    Raises:
      errors.UserError: there is no model, it cannot be read, or it is an export
        and `compile` is 'always'.
    """
    self._model = loaded_model.load(
        path, model_folders.CLASSIFICATION, mode=compile)
    self.spec = self._model.spec

  def __call__(self, image: images.ImageLike, top: int = 5
               ) -> Tuple[ClassProbability, ...]:
    """Returns the most probable classes of an image, in descending order.

    Args:
      image: file name, Pillow image, or uint8 array [height, width, 3] (RGB)
        or [height, width] (grey); files are rotated by their EXIF data. It is
        resized and cropped as in validation.
      top: number of classes.

    Raises:
      errors.UserError: not an image.
    """
    return self.batch([image], top)[0]

  def batch(self, batch: Sequence[images.ImageLike], top: int = 5
            ) -> Tuple[Tuple[ClassProbability, ...], ...]:
    """Classifies several images, which may differ in size.

    Raises:
      errors.UserError: one is not an image, or they are too large for the
        memory.
    """
    pixels = [images.as_rgb(image) for image in batch]
    with memory.reported(lambda error: (
        f'{len(batch)} images at a time do not fit into memory '
        f'({memory.describe(error)}); classify fewer at a time '
        f'(--batch_size), or shrink them')):
      probabilities = self._model.probabilities(pixels)
    return tuple(map(lambda row: self._top(row, top), probabilities))

  def _top(self, probabilities: np.ndarray, top: int):
    best = np.argsort(-probabilities, kind='stable')[:top]
    return tuple(
        ClassProbability(
            int(label), self.spec.classes[label].id,
            self.spec.classes[label].name, float(probabilities[label]))
        for label in best)
