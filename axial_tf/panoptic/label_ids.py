"""Panoptic label ids: train_id * label_divisor + instance, in one int32.

Things count their instances from 1; stuff has instance 0; a thing with
instance 0 is a crowd; void is ignore_label * label_divisor. All functions
accept numpy arrays and tensors of any shape and return the same kind.
"""

from typing import Sequence

import numpy as np
import tensorflow as tf

from axial_tf import errors


def encode(category, instance, label_divisor: int):
  """Joins train ids and instance numbers into panoptic labels.

  Raises:
    errors.UserError: an instance number, given as numpy or Python integers,
      is outside 0 ... label_divisor - 1 and would change the category.
  """
  if not tf.is_tensor(instance):
    instance = np.asarray(instance)
    if instance.size and not (
        0 <= instance.min() and instance.max() < label_divisor):
      raise errors.UserError(
          f'instance: expected numbers from 0 to {label_divisor - 1} '
          f'(label_divisor {label_divisor}), got {instance.min()} to '
          f'{instance.max()}; use a larger label_divisor')
  return category * label_divisor + instance


def decode(panoptic, label_divisor: int):
  """Splits panoptic labels into (category, instance), both of their shape."""
  category = panoptic // label_divisor
  return category, panoptic - category * label_divisor


def member_mask(category, train_ids: Sequence[int]):
  """True where the train id (>= 0) is one of `train_ids`."""
  outside = max(train_ids, default=-1) + 1
  table = np.zeros(outside + 1, bool)
  table[list(train_ids)] = True
  if tf.is_tensor(category):
    return tf.gather(table, tf.minimum(category, outside))
  return table[np.minimum(category, outside)]
