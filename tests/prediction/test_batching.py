"""Grouping images of equal size."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np

from axial_tf.prediction import batching


@given(st.lists(st.integers(1, 4), max_size=60), st.integers(1, 5))
def test_all_come_once_in_batches_of_one_size(widths, batch_size):
  taken = []

  def items():
    for key, width in enumerate(widths):
      taken.append(key)
      yield key, np.full([2, width, 3], key)

  seen = []
  for batch in batching.equal_sizes(items(), batch_size):
    assert 1 <= len(batch) <= batch_size
    assert len({image.shape for _, image in batch}) == 1
    assert all(np.all(image == key) for key, image in batch)
    seen += [key for key, _ in batch]
    # Images read and not yet returned are held in memory.
    assert len(taken) - len(seen) < 4 * batch_size
  assert sorted(seen) == list(range(len(widths)))


def test_images_of_equal_size_are_held_until_a_batch_is_full():
  images = [np.zeros([2, width, 3]) for width in (1, 2, 1, 2, 2, 1)]
  batches = list(batching.equal_sizes(enumerate(images), 3))
  assert [[key for key, _ in batch] for batch in batches] == [
      [1, 3, 4], [0, 2, 5]]


def test_large_images_are_batches_of_their_own_at_once():
  items = ((size, np.zeros([size, 2, 3])) for size in (4, 5, 9, 4, 4))
  batches = batching.equal_sizes(items, 2, longest=4)
  assert [[key for key, _ in batch] for batch in batches] == [
      [5], [9], [4, 4], [4]]
