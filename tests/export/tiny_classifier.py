"""A classifier of one layer that sees colors, for tests of serving."""

import numpy as np
import tensorflow as tf

from axial_tf.inference import classification as classifier_inference
from axial_tf.keras2 import keras
from tests import tiny_classes


class MeanColor(keras.Model):
  """Logits are the mean of each channel, sharpened."""

  def __init__(self):
    super().__init__()
    self.dense = keras.layers.Dense(
        3, kernel_initializer=keras.initializers.Constant(8 * np.eye(3)))
    self.dense.build([None, 3])

  def call(self, images, training=False):
    return self.dense(tf.reduce_mean(images, [1, 2]))


def inference() -> classifier_inference.ClassifierInference:
  """The classifier as `export` takes it."""
  return classifier_inference.ClassifierInference(
      MeanColor(), tiny_classes.SPEC, (16, 16), 20)
