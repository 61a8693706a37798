"""Parsing Covering equals its published code, and what its words say."""

import numpy as np
import pytest

from axial_tf.evaluation import parsing_covering
from axial_tf.specs import dataset_spec

_DIVISOR = 256
_IGNORED = 6


@pytest.fixture(scope='module')
def spec():
  """Things 0 to 3, stuff 4 and 5, as in the reference."""
  return dataset_spec.DatasetSpec(
      name='test', label_divisor=_DIVISOR, ignore_label=_IGNORED,
      categories=tuple(
          dataset_spec.Category(i + 1, i, f'c{i}', is_thing=i < 4,
                                color=(i, i, i)) for i in range(_IGNORED)))


@pytest.fixture(scope='module')
def pairs(oracle):
  """The reference numbers, and its maps: (true, predicted)."""
  arrays = oracle('parsing_covering/random_maps')
  maps = []
  for number in range(40):
    maps.append([
        _labels(*(arrays[f'{number:02d}/{side}_{kind}'].astype(np.int32)
                  for kind in ('category', 'instance')))
        for side in ('true', 'predicted')])
  return arrays, maps


def _labels(category, instance):
  return category * _DIVISOR + np.where(category == _IGNORED, 0, instance)


def _covering(spec, pairs):
  metric = parsing_covering.ParsingCovering(spec)
  for truth, prediction in pairs:
    metric.update(np.array(truth), np.array(prediction))
  return metric


def _check(result, score, categories):
  assert result['all']['pc'] == pytest.approx(float(score), abs=1e-12)
  got = [result['per_class'][i] or 0.0 for i in range(_IGNORED)]
  np.testing.assert_allclose(got, categories[:_IGNORED], rtol=0, atol=1e-12)


def test_equals_the_published_code_on_each_pair_and_on_all(spec, pairs):
  arrays, maps = pairs
  for number, pair in enumerate(maps):
    key = f'{number:02d}/by_image_size'
    _check(_covering(spec, [pair]).result(), arrays[key],
           arrays[f'{key}_categories'])
  _check(_covering(spec, maps).result(), arrays['all/by_image_size'],
         arrays['all/by_image_size_categories'])


def test_workers_and_order_do_not_matter(spec, pairs):
  maps = pairs[1]
  whole = _covering(spec, maps[::-1]).result()
  first, second = _covering(spec, maps[::3]), _covering(
      spec, maps[1::3] + maps[2::3])
  first.merge(second)
  assert first.result() == whole


def test_segments_weigh_as_much_as_their_area(spec):
  # There is one class: 6 pixels covered to a half, 2 pixels as a whole.
  truth = [[1, 1, 1, 1, 1, 1, 2, 2]]
  prediction = [[3, 3, 3, 4 * _DIVISOR, 4 * _DIVISOR, 4 * _DIVISOR, 1, 1]]
  result = _covering(spec, [(truth, prediction)]).result()
  assert result['per_class'][0] == (6 * 0.5 + 2) / 8
  assert result['all'] == result['things'] == {'pc': 0.625, 'n': 1}
  # Nothing of the stuff is true, whatever is predicted.
  assert result['stuff'] == {'pc': 0.0, 'n': 0}
  assert parsing_covering.format_line(result) == (
      'PC 62.50  things 62.50  stuff -')


def test_void_and_crowds_count_for_no_segment(spec):
  void = _IGNORED * _DIVISOR
  truth = [[1, 1, void, void, 0, 0]]  # The last two are a crowd.
  result = _covering(spec, [(truth, np.ones([1, 6], int))]).result()
  assert result['per_class'][0] == 1.0
  nothing = _covering(spec, [(np.full([2, 2], void), np.ones([2, 2], int))])
  assert nothing.result()['all'] == {'pc': 0.0, 'n': 0}
  missed = _covering(spec, [(truth, np.full([1, 6], void))])
  assert missed.result()['all'] == {'pc': 0.0, 'n': 1}
