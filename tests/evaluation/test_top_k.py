"""Top-1 and top-5: exact, however images are divided into batches."""

import fractions

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest
import tensorflow as tf

from axial_tf.evaluation import top_k
from axial_tf.specs import class_spec


def _spec(classes):
  return class_spec.ClassSpec.from_ids(
      'letters', [f'c{number:03}' for number in range(classes)], {})


def _ranks(logits, labels):
  return top_k.ranks(
      tf.constant(logits, tf.float32), tf.constant(labels)).numpy()


def _add(counts, labels, ranks):
  labels, ranks = (np.asarray(x, np.int32) for x in (labels, ranks))
  counts.add(labels, ranks, 0.5 * labels)


def _accuracies(counts):
  return {key: value for key, value in counts.scores().items()
          if key.startswith('top')}


def test_ranks_are_places_in_the_sorted_logits():
  logits = np.random.default_rng(0).normal(size=[50, 7])
  labels = np.random.default_rng(1).integers(0, 7, 50)
  order = np.argsort(-logits, axis=1)
  expected = [list(order[i]).index(label) for i, label in enumerate(labels)]
  np.testing.assert_array_equal(_ranks(logits, labels), expected)


def test_among_equal_logits_only_the_first_class_is_right():
  np.testing.assert_array_equal(_ranks(np.zeros([4, 4]), range(4)), range(4))


@pytest.mark.parametrize('row', [
    [np.nan, 0, 0, 0, 0, 0], [0, np.nan, 0, 0, 0, 0], [np.nan] * 6])
def test_nan_is_never_right(row):
  counts = top_k.TopK(_spec(6))
  for label in range(6):
    _add(counts, [label], _ranks([row], [label]))
  assert _accuracies(counts) == {'top1': 0.0, 'top5': 0.0}


@hypothesis.given(st.data())
def test_batches_do_not_matter(data):
  number = data.draw(st.integers(1, 30))
  labels = np.array(data.draw(st.lists(
      st.integers(0, 7), min_size=number, max_size=number)))
  ranks = np.array(data.draw(st.lists(
      st.integers(0, 8), min_size=number, max_size=number)))
  cuts = sorted(data.draw(st.lists(st.integers(0, number), max_size=4)))
  # The first worker has no images.
  counts, *workers = (top_k.TopK(_spec(8)) for _ in range(3))
  for index, batch in enumerate(
      np.split(np.stack([labels, ranks]), cuts, axis=1)):
    _add(workers[index % 2], *batch)
  for worker in workers:
    counts.merge(worker)
  assert counts.num_images == number
  assert counts.scores() == {
      'top1': np.mean(ranks < 1), 'top5': np.mean(ranks < 5),
      'cross_entropy': 0.5 * np.mean(labels)}


def test_top_5_of_five_classes_is_left_out():
  counts = top_k.TopK(_spec(5))
  _add(counts, [0, 1], [0, 4])
  assert _accuracies(counts) == {'top1': 0.5}


@hypothesis.given(st.permutations([1.0, 1e-8, 3e-8, 7e-8, 0.1, 1e7, 1e-7]))
def test_the_order_of_images_does_not_change_the_last_digit(losses):
  counts = top_k.TopK(_spec(2))
  for loss in losses:
    counts.add(np.array([0]), np.array([0]), np.float32([loss]))
  exact = sum(map(fractions.Fraction, np.float32(losses).tolist()))
  result = counts.scores()['cross_entropy']
  assert type(result) is float and result == float(exact) / 7


def test_no_images():
  assert top_k.TopK(_spec(9)).scores() == {
      'top1': 0.0, 'top5': 0.0, 'cross_entropy': 0.0}


def test_table_lists_the_least_accurate_classes_first():
  counts = top_k.TopK(_spec(30))
  labels = np.arange(30)
  _add(counts, labels, np.where(labels == 17, 3, 0))
  lines = counts.format_table().splitlines()
  assert lines[0] == '30 images: top-1 96.67 %  top-5 100.00 %'
  assert '20 least accurate of 30' in lines[1]
  assert lines[2].split() == ['0.00', 'c017']
  assert len(lines) == 22
