"""The table of segments against counting by hand."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import tensorflow as tf

from axial_tf.panoptic import segments

_IDS = {'label_divisor': 10, 'void_label': 90}


def _plain_rows(panoptic, score, probabilities):
  rows = []
  for label in np.unique(panoptic[panoptic != 90]):
    mask = panoptic == label
    y, x = np.nonzero(mask)
    rows.append((
        label, label // 10,
        score[mask].mean() * probabilities[mask][:, label // 10].mean(),
        mask.sum(), (y.min(), x.min(), y.max() + 1, x.max() + 1)))
  return rows


def _assert_rows(table, rows, max_segments):
  assert table['num_segments'] == len(rows)
  for name, column in zip(
      ('segment_ids', 'segment_classes', 'segment_scores', 'segment_areas',
       'segment_boxes'), zip(*rows) if rows else [[]] * 5):
    value = table[name].numpy()
    assert len(value) == max_segments, name
    np.testing.assert_allclose(
        value[:len(rows)], np.reshape(column, value[:len(rows)].shape),
        rtol=1e-6, err_msg=name)
    assert not value[len(rows):].any(), name


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(
    hnp.arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 6)),
               elements=st.sampled_from([0, 10, 11, 12, 30, 39, 90])),
    st.integers(0, 2**31))
def test_any_map_matches_counting(panoptic, seed):
  rng = np.random.default_rng(seed)
  score = rng.uniform(size=panoptic.shape).astype(np.float32)
  probabilities = rng.uniform(size=(*panoptic.shape, 4)).astype(np.float32)
  table = segments.segment_table(
      tf.constant(panoptic), tf.constant(score), tf.constant(probabilities),
      max_segments=8, **_IDS)
  _assert_rows(table, _plain_rows(panoptic, score, probabilities), 8)


def test_compiles(compiled):
  panoptic = np.int32([[11, 11, 90], [30, 11, 12]])
  score = np.float32([[0.5, 0.5, 0], [1, 0.5, 0.25]])
  probabilities = np.full([2, 3, 4], 0.25, np.float32)
  table = compiled(lambda *maps: segments.segment_table(
      *maps, max_segments=5, **_IDS))(
          tf.constant(panoptic), tf.constant(score), tf.constant(probabilities))
  _assert_rows(table, _plain_rows(panoptic, score, probabilities), 5)
  assert table['segment_boxes'].shape == [5, 4]


def test_void_alone_gives_an_empty_table(compiled):
  table = compiled(lambda *maps: segments.segment_table(
      *maps, max_segments=3, **_IDS))(
          tf.fill([1, 4], 90), tf.zeros([1, 4]), tf.ones([1, 4, 4]))
  _assert_rows(table, [], 3)


def test_void_that_is_a_class_of_the_model_is_not_a_segment():
  # As on COCO: void is label 0 and class 0 is one of the outputs.
  table = segments.segment_table(
      tf.constant([[0, 0, 10]]), tf.ones([1, 3]), tf.ones([1, 3, 4]),
      label_divisor=10, void_label=0, max_segments=2)
  np.testing.assert_array_equal(table['segment_ids'], [10, 0])
  assert table['num_segments'] == 1


def test_too_many_segments_lose_the_smallest():
  panoptic = tf.constant([[11, 12, 12, 13, 13, 13, 30, 30]])
  table = segments.segment_table(
      panoptic, tf.ones([1, 8]), tf.ones([1, 8, 4]), max_segments=3, **_IDS)
  np.testing.assert_array_equal(table['segment_ids'], [12, 13, 30])
  np.testing.assert_array_equal(table['segment_areas'], [2, 3, 2])
  assert table['num_segments'] == 3


def test_means_of_a_large_segment_are_precise():
  # A running float32 sum over these 2^20 pixels would be off by 4 %.
  size = [1024, 1024]
  table = segments.segment_table(
      tf.fill(size, 10), tf.fill(size, 0.1), tf.fill([*size, 2], 0.3),
      max_segments=1, **_IDS)
  np.testing.assert_allclose(table['segment_scores'], [0.03], rtol=3e-5)


def test_unknown_size():
  table = tf.function(
      lambda *maps: segments.segment_table(*maps, max_segments=2, **_IDS),
      input_signature=[
          tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None]),
          tf.TensorSpec([None, None, 4])])
  for size in ([2, 3], [1, 1]):
    result = table(tf.fill(size, 31), tf.ones(size), tf.ones([*size, 4]))
    np.testing.assert_array_equal(
        result['segment_boxes'], [[0, 0, *size], [0] * 4])
    np.testing.assert_array_equal(result['segment_scores'], [1.0, 0.0])
