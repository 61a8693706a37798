"""Orders training records, and resumes in the middle of an epoch."""

from typing import Callable, Optional, Union

import tensorflow as tf

Seed = Optional[Union[int, tf.Tensor]]
_EPOCH_STRIDE = 1_000_003


def endless(read: Callable[[Seed], tf.data.Dataset], shuffle_buffer: int,
            seed: Optional[int], first: int = 0,
            length: Optional[int] = None) -> tf.data.Dataset:
  """Epochs without end, each in another order.

  With a seed and a length, the order of an epoch is a function of both the
  seed and its number, so that a run continues at any record without reading
  the epochs before. Without a length, what comes before is read and dropped.

  Args:
    read: makes the records of one epoch; its seed is for the order of files.
    shuffle_buffer: records among which the next one is drawn.
    seed: seed of all orders; None draws new ones, and then `first` is of no
      use.
    first: record of the whole sequence that comes first.
    length: records in an epoch, if it is known.
  """
  if seed is None:
    return read(None).shuffle(shuffle_buffer).repeat()
  if not length:
    return read(seed).shuffle(
        shuffle_buffer, seed=seed).repeat().skip(first)

  def epoch(number):
    # In this function's graph alone: the global seed has no part in the order,
    # and beside one of 0, TensorFlow takes no seeds that are tensors.
    tf.random.set_seed(1)
    epoch_seed = seed * _EPOCH_STRIDE + number
    return read(epoch_seed).shuffle(shuffle_buffer, seed=epoch_seed)

  return tf.data.Dataset.range(
      first // length, tf.int64.max).flat_map(epoch).skip(first % length)
