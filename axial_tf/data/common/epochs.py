"""Orders training records, and resumes in the middle of an epoch."""

from typing import Callable, Optional, Union

import tensorflow as tf

Seed = Optional[Union[int, tf.Tensor]]
_EPOCH_STRIDE = 1_000_003


def endless(read: Callable[[Seed], tf.data.Dataset], shuffle_buffer: int,
            seed: Optional[int], first: int = 0,
            length: Optional[int] = None) -> tf.data.Dataset:
  """Returns endless epochs, each in a different order.

  With a seed and a length, the order of an epoch is a function of both the
  seed and its number, so that a run continues at any record without reading
  the epochs before. Without a length, earlier records are read and dropped.

  Args:
    read: makes the records of one epoch; its seed is for the order of files.
    shuffle_buffer: number of records among which the next one is drawn.
    seed: seed of all orders; None draws new ones and ignores `first`.
    first: index of the first record in the whole sequence.
    length: records in an epoch, if it is known.
  """
  if seed is None:
    return read(None).shuffle(shuffle_buffer).repeat()
  if not length:
    return read(seed).shuffle(
        shuffle_buffer, seed=seed).repeat().skip(first)

  def epoch(number):
    # Only in this function's graph: the global seed does not affect the order,
    # and if it were 0, TensorFlow would accept no tensors as seeds.
    tf.random.set_seed(1)
    epoch_seed = seed * _EPOCH_STRIDE + number
    return read(epoch_seed).shuffle(shuffle_buffer, seed=epoch_seed)

  return tf.data.Dataset.range(
      first // length, tf.int64.max).flat_map(epoch).skip(first % length)
