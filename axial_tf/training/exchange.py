"""Exchanges values among the workers of a run.

All workers call these functions at the same points of their programs, inside
the scope of their strategy: each call waits for all of them. Only
MultiWorkerMirroredStrategy has several workers; with any other strategy nothing
is sent and no call waits.
"""

import pickle
from typing import List, TypeVar

import numpy as np
import tensorflow as tf

_T = TypeVar('_T')
# A type that all collective operations support on all devices.
_WORD = np.int64


def gather(value: _T) -> List[_T]:
  """Returns the value of each worker, in the same order on all of them.

  Args:
    value: anything that can be pickled. Only the processes of a run, which
      run each other's graphs anyway, can send something here.
  """
  strategy = tf.distribute.get_strategy()
  if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
    return [value]
  content = pickle.dumps(value)
  sizes = _gather_rows(tf.constant([[len(content)]], _WORD)).numpy()[:, 0]
  # Collective operations need rows of equal length.
  words = -(-int(sizes.max()) // np.dtype(_WORD).itemsize)
  row = np.zeros([1, words], _WORD)
  row.view(np.uint8)[0, :len(content)] = np.frombuffer(content, np.uint8)
  rows = _gather_rows(tf.constant(row)).numpy().view(np.uint8)
  return [pickle.loads(row[:size].tobytes()) for row, size in zip(rows, sizes)]


@tf.function(
    autograph=False, input_signature=[tf.TensorSpec([None, None], _WORD)])
def _gather_rows(rows: tf.Tensor) -> tf.Tensor:
  """Gathers rows; a function, so that it is traced only once."""
  return tf.distribute.get_strategy().gather(rows, axis=0)


def any_worker(flag: bool) -> bool:
  """Returns whether the flag of any worker is set; faster than `gather`."""
  strategy = tf.distribute.get_strategy()
  if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
    return flag
  return bool(strategy.reduce(
      tf.distribute.ReduceOp.SUM, tf.constant([flag], _WORD), axis=None)[0])


def of_chief(value: _T) -> _T:
  """Returns the value that the chief, which writes the files, has passed."""
  is_chief = tf.distribute.get_strategy().extended.should_checkpoint
  return next(content for from_chief, content in gather((is_chief, value))
              if from_chief)
