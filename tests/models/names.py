"""Checks names of weights."""

from axial_tf.keras2 import keras
from axial_tf.training import checkpoints


def check(model: keras.Model) -> None:
  """Checks that the name of each weight is its path of attributes."""
  places = checkpoints.places(model)
  assert len(places) == len(model.variables)
  assert places.keys() == {
      variable.name.partition('/')[2].partition(':')[0]
      for variable in model.variables}
