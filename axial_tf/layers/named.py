"""Gives layers in lists their own names in checkpoints."""

from typing import Iterable

import tensorflow as tf

from axial_tf.keras2 import keras


def keep(owner: tf.Module, layers: Iterable[keras.layers.Layer]) -> None:
  """Makes layers attributes of their owner, each under its name.

  A checkpoint names a weight by the shortest path of attributes to it, which
  then is the weight's name: stage2_block1/..., not stages/0/0/... The lists
  stay attributes as well: earlier checkpoints have their weights there, and
  TensorFlow restores along any path.

  Args:
    owner: layer or model.
    layers: layers of the owner, with names that are not yet attributes of it.
  """
  for layer in layers:
    setattr(owner, layer.name, layer)
