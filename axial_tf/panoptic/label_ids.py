"""Panoptic label ids: train_id * label_divisor + instance, in one int32.

Things count their instances from 1; stuff has instance 0; a thing with
instance 0 is a crowd; void is ignore_label * label_divisor.
"""

from typing import Sequence

import numpy as np
import tensorflow as tf


def member_mask(category, train_ids: Sequence[int]):
  """True where the train id (>= 0) is one of `train_ids`.

  Args:
    category: int32 array or tensor of any shape, which is also the mask's.
    train_ids: train ids to look for.
  """
  outside = max(train_ids, default=-1) + 1
  table = np.zeros(outside + 1, bool)
  table[list(train_ids)] = True
  if tf.is_tensor(category):
    return tf.gather(table, tf.minimum(category, outside))
  return table[np.minimum(category, outside)]
