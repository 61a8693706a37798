"""Epochs resume where they stopped, without reading earlier ones."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.data.common import epochs


def _records(seed):
  return tf.data.Dataset.range(7).shuffle(7, seed=seed)


def _take(count, **options):
  dataset = epochs.endless(_records, 3, **options)
  return [int(x) for x in dataset.take(count)]


@pytest.mark.parametrize('length', [7, None])
def test_a_resumed_sequence_is_the_tail_of_the_whole_one(length):
  whole = _take(30, seed=4, length=length)
  for first in (0, 3, 7, 8, 20):
    assert _take(30 - first, seed=4, first=first, length=length) == (
        whole[first:])


@pytest.mark.parametrize('global_seed', [0, 3])
def test_the_global_seed_does_not_matter(global_seed):
  expected = _take(20, seed=4, length=7)
  tf.random.set_seed(global_seed)
  assert _take(20, seed=4, length=7) == expected


def test_an_epoch_has_each_record_once_in_its_own_order():
  whole = np.reshape(_take(28, seed=4, length=7), [4, 7])
  assert (np.sort(whole) == np.arange(7)).all()
  assert len({tuple(epoch) for epoch in whole}) > 2
  assert _take(28, seed=5, length=7) != whole.ravel().tolist()


def test_earlier_epochs_are_not_read():
  read = []

  def records(seed):
    return _records(seed).map(
        lambda x: tf.py_function(lambda y: read.append(0) or y, [x], x.dtype))

  dataset = epochs.endless(records, 3, seed=1, first=700, length=7)
  assert int(next(iter(dataset))) in range(7)
  assert len(read) <= 7
