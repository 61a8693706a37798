"""Tiles of a perfect model give the map that they were cut from."""

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from axial_tf import errors
from axial_tf.evaluation import label_maps
from axial_tf.prediction import results, tiles
from tests.color_model import BALL, GROUND, SKY, SPEC

_VOID = SPEC.void_label
_TILING = tiles.Tiling.of(32, 16)


def _seen(window, score=0.5):
  """The result of a model for a tile of a true map, with its own numbers."""
  labels, index = np.unique(window, return_inverse=True)
  is_thing = ~np.isin(labels, [GROUND, SKY, _VOID])
  labels = np.where(is_thing, BALL + np.cumsum(is_thing), labels)
  return results.PanopticResult.from_map(
      labels[index.reshape(window.shape)], SPEC,
      dict.fromkeys(labels.tolist(), score))


def _joined(truth, tiling=_TILING, seen=_seen, **limits):
  """Joins what `seen` makes of each tile of a true map."""
  grid = tiling.grid(*truth.shape)
  mosaic = tiles.Mosaic(grid, SPEC)
  for window in grid.windows(truth):
    mosaic.add(seen(window))
  return mosaic.finish(None, **limits)


def _assert_same(result, truth):
  """Asserts that segments are the same, whatever their numbers."""
  classes, true_classes = (
      labels // spec.label_divisor for labels, spec in (
          (result.panoptic_map, result.spec), (truth, SPEC)))
  np.testing.assert_array_equal(
      classes == result.spec.ignore_label, truth == _VOID)
  found, true, _ = label_maps.value_pairs(result.panoptic_map, truth)
  assert found.size == np.unique(found).size == np.unique(true).size
  is_known = truth != _VOID
  np.testing.assert_array_equal(classes[is_known], true_classes[is_known])
  numbers = np.unique(result.panoptic_map[true_classes == 1])
  assert (numbers % result.spec.label_divisor).tolist() == list(
      range(1, numbers.size + 1))


@st.composite
def _patchworks(draw):
  """Maps of rectangles: things that touch one another, stuff and void."""
  height, width = draw(st.integers(1, 140)), draw(st.integers(1, 140))
  rows, columns = (
      [0, *sorted(draw(st.sets(st.integers(1, max(size - 1, 1)), max_size=4))),
       size] for size in (height, width))
  truth = np.empty([height, width], np.int32)
  number = BALL
  for top, bottom in zip(rows, rows[1:]):
    for left, right in zip(columns, columns[1:]):
      label = draw(st.sampled_from([BALL, BALL, GROUND, SKY, _VOID]))
      if label == BALL:
        number += 1
        label = number
      truth[top:bottom, left:right] = label
  return truth


@hypothesis.settings(max_examples=60)
@hypothesis.given(_patchworks(), st.integers(32, 50), st.integers(1, 16))
def test_any_patchwork_is_put_together(truth, tile, overlap):
  result = _joined(truth, tiles.Tiling.of(tile, overlap))
  _assert_same(result, truth)
  expected = results.PanopticResult.from_map(truth, SPEC)

  def measures(each):
    return sorted((s.label, s.area, s.box) for s in each.segments)

  assert measures(result) == measures(expected)
  assert {segment.score for segment in result.segments} <= {0.5}


@hypothesis.given(st.integers(1, 400), st.integers(32, 60), st.data())
def test_pixels_belong_to_the_tile_in_which_they_are_most_central(
    size, tile, data):
  overlap = data.draw(st.integers(1, tile // 2))
  spans = tiles.Tiling.of(tile, overlap).grid(size, 1).rows
  owner = np.full([size], -1)
  for number, span in enumerate(spans):
    assert span.stop - span.start == min(tile, size)
    assert np.all(owner[span.first:span.end] == -1)
    owner[span.first:span.end] = number
    np.testing.assert_array_equal(
        np.arange(span.start, span.stop)[span.own],
        np.arange(span.first, span.end))
  centers = np.array([span.start + span.stop for span in spans]) / 2
  distances = np.abs(np.arange(size)[:, np.newaxis] + 0.5 - centers)
  np.testing.assert_allclose(
      distances[np.arange(size), owner], distances.min(1), atol=0.51)
  assert spans[0].start == 0 and spans[-1].stop == size
  for one, other in zip(spans, spans[1:]):
    assert overlap <= one.stop - other.start < tile


@pytest.mark.parametrize('size, starts', [
    (31, [0]), (32, [0]), (33, [0, 1]), (48, [0, 16]), (49, [0, 16, 17])])
def test_the_last_tile_is_moved_inward(size, starts):
  assert [span.start for span in _TILING.grid(1, size).columns] == starts


def _thing(shape, top, left, bottom, right):
  truth = np.full(shape, GROUND, np.int32)
  truth[top:bottom, left:right] = BALL + 1
  return truth


@pytest.mark.parametrize('truth', [
    _thing([32, 48], 5, 20, 9, 27),  # across one cut line
    _thing([48, 48], 20, 20, 28, 30),  # around a corner of four tiles
    _thing([200, 48], 3, 20, 190, 30),  # longer than the overlap, many tiles
    _thing([100, 100], 0, 0, 100, 100)])
def test_a_thing_across_tiles_is_one(truth):
  _assert_same(_joined(truth), truth)


def test_touching_things_stay_two_at_a_cut_line():
  truth = _thing([32, 48], 5, 10, 25, 24)
  truth[5:25, 24:40] = BALL + 2
  assert _TILING.grid(32, 48).columns[1].first == 24
  _assert_same(_joined(truth), truth)


def test_a_diagonal_thing_is_joined_though_one_tile_misses_it():
  truth = np.full([48, 48], GROUND, np.int32)
  y, x = np.mgrid[:48, :48]
  truth[abs(y - x) < 3] = BALL + 1
  count = []

  def seen(window):
    count.append(1)
    return _seen(np.where(window == BALL + 1, GROUND, window)
                 if len(count) == 2 else window)

  result = _joined(truth, seen=seen)
  assert [s.name for s in result.segments] == ['ground', 'ball']


def test_a_thing_that_the_next_tile_splits_into_halves_is_one():
  truth = _thing([32, 48], 6, 18, 26, 40)
  count = []

  def seen(window):
    count.append(1)
    halves = window + (np.arange(32) >= 16)[:, np.newaxis]
    return _seen(np.where(window == BALL + 1, halves, window)
                 if len(count) == 2 else window)

  _assert_same(_joined(truth, seen=seen), truth)


@pytest.mark.parametrize('change', [
    lambda window: np.where(window == BALL + 1, _VOID, window),
    lambda window: np.where(window == BALL + 1, SKY, window),
    # A quarter of the band around the cut line, columns 22 to 25.
    lambda window: np.where(
        np.arange(window.shape[1]) < 9, GROUND, window)])
def test_a_thing_that_the_next_tile_sees_otherwise_ends_at_the_cut(change):
  truth = _thing([32, 48], 5, 16, 25, 40)
  count = []

  def seen(window):
    count.append(1)
    return _seen(change(window) if len(count) == 2 else window)

  result = _joined(truth, seen=seen)
  first = BALL + 1
  np.testing.assert_array_equal(
      result.panoptic_map[:, :24] == first, truth[:, :24] == first)
  assert not np.any(result.panoptic_map[:, 24:] == first)


def test_scores_are_means_over_the_pixels():
  truth = _thing([32, 48], 5, 20, 25, 30)
  scores = iter([0.2, 0.8])
  result = _joined(truth, seen=lambda window: _seen(window, next(scores)))
  thing = result.things()[0]
  # 4 of its 10 columns are left of the cut line at 24.
  assert thing.score == pytest.approx(0.4 * 0.2 + 0.6 * 0.8)
  ground = next(s for s in result.segments if s.id == GROUND)
  left = np.sum(truth[:, :24] == GROUND)
  right = np.sum(truth[:, 24:] == GROUND)
  assert ground.score == pytest.approx(
      (0.2 * left + 0.8 * right) / (left + right))


def test_the_limit_of_stuff_is_that_of_the_whole_image():
  truth = np.full([32, 96], GROUND, np.int32)
  truth[:4] = SKY  # 384 pixels, of which no tile sees more than 128
  for limit, at_limit, expected in (
      (384, False, SKY), (385, False, _VOID), (384, True, _VOID)):
    result = _joined(truth, stuff_area_limit=limit, void_at_limit=at_limit)
    assert np.all(result.panoptic_map[:4] == expected)
    assert np.all(result.panoptic_map[4:] == GROUND)


def test_more_things_than_the_label_divisor_get_a_larger_one():
  y, x = np.mgrid[:90, :90] // 6
  result = _joined(1000 + 15 * y + x)  # 225 squares
  assert result.spec.label_divisor == 256
  things = result.things()
  assert [thing.id for thing in things] == [256 + n for n in range(1, 226)]
  assert {(thing.area, thing.name) for thing in things} == {(36, 'ball')}


@pytest.mark.parametrize('tile, overlap, words', [
    (31, None, 'tile: expected a side of at least 32 pixels'),
    (0, None, 'tile: expected'), (-64, 8, 'tile: expected'),
    (64, 64, 'overlap: expected 1 to 32 pixels, half of the tile, got 64'),
    (64, 33, 'got 33'), (64, 0, 'got 0'), (64, -1, 'got -1'),
    (None, 8, 'overlap: belongs to tiles'),
    (64.5, None, 'tile: expected a whole number of pixels, got 64.5'),
    (64, '8', "overlap: expected a whole number of pixels, got '8'")])
def test_sizes_that_make_no_tiles_are_refused(tile, overlap, words):
  with pytest.raises(errors.UserError, match=words):
    tiles.Tiling.of(tile, overlap)


def test_the_overlap_is_a_quarter_by_default():
  assert tiles.Tiling.of(1024, None) == tiles.Tiling(1024, 256)
  assert tiles.Tiling.of(None, None) is None
