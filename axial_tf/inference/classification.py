"""Classifies uint8 images: the one place that joins the steps.

`ImageClassifier` and the exported SavedModel run this code; images are resized
and cropped as in validation.
"""

from typing import Callable, Dict, Optional, Tuple

import tensorflow as tf

from axial_tf import keras2
from axial_tf.data.common import resizing
from axial_tf.files import model_folders
from axial_tf.inference import compiled_network
from axial_tf.specs import class_spec


class ClassifierInference(tf.Module):
  """Resizes and crops images, and classifies them.

  Attributes:
    model: the network, see `axial_tf.models.classifier`.
    spec: the classes of the network.
    image_size: height and width of the network's input.
    short_side: see `resizing.center_crop`.
  """

  task = model_folders.CLASSIFICATION

  def __init__(
      self, model: Callable[..., tf.Tensor], spec: class_spec.ClassSpec,
      image_size: Tuple[int, int], short_side: Optional[int]):
    keras2.require(model, type(self).__name__)
    super().__init__(name='classifier_inference')
    self.model = model
    self.spec = spec
    self.image_size = image_size
    self.short_side = short_side

  def traced(self) -> 'ClassifierInference':
    """Returns an inference whose network is one shared graph function."""
    model = self.model
    run = tf.function(
        lambda images: model(images, training=False), autograph=False,
        input_signature=[
            tf.TensorSpec([None, *self.image_size, 3], tf.float32)])
    return ClassifierInference(
        lambda images, training: run(images), self.spec, self.image_size,
        self.short_side)

  def compiled(self) -> 'ClassifierInference':
    """Returns an inference whose network XLA compiles, for each batch size."""
    return ClassifierInference(
        compiled_network.compiled(self.model), self.spec, self.image_size,
        self.short_side)

  def __call__(self, images: tf.Tensor) -> tf.Tensor:
    """Returns the probability of each class.

    Args:
      images: uint8 RGB [batch, height, width, 3].

    Returns:
      float32 [batch, classes].
    """
    return self.classify(self.prepare(images))

  def prepare(self, images: tf.Tensor) -> tf.Tensor:
    """Brings images to the size and range of the network's input.

    Args:
      images: uint8 RGB [..., height, width, 3], one or a batch.

    Returns:
      float32 [..., *image_size, 3].
    """
    return resizing.center_crop(images, self.image_size, self.short_side)

  def classify(self, prepared: tf.Tensor) -> tf.Tensor:
    """As `__call__`, for results of `prepare`."""
    logits = self.model(prepared, training=False)
    return tf.nn.softmax(tf.cast(logits, tf.float32))

  def top(self, probabilities: tf.Tensor, count: int) -> Dict[str, tf.Tensor]:
    """Lists the most probable classes.

    Args:
      probabilities: [batch, classes].
      count: number of classes per image; all if there are fewer.

    Returns:
      [batch, count], the most probable class first (of equal ones, the one
      with the smaller number): 'classes' int32, 'scores' float32 and
      'class_names' string.
    """
    scores, classes = tf.math.top_k(
        probabilities, min(count, self.spec.num_classes))
    names = tf.constant([entry.name for entry in self.spec.classes])
    return {'classes': classes, 'scores': scores,
            'class_names': tf.gather(names, classes)}
