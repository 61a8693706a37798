"""Both label formats of Mapillary Vistas agree, whatever they contain."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
import numpy as np
import pytest

from axial_tf import errors
from axial_tf.specs import dataset_spec
from data_prep.readers import mapillary_labels

SPEC = dataset_spec.DatasetSpec(
    name='few', label_divisor=1000, ignore_label=255, categories=tuple(
        dataset_spec.Category(i + 1, i, f'class {i}', i % 2 == 0, (i, i, i))
        for i in range(4)))
# Places 0 and 5 of config.json are not evaluated.
CATEGORIES = (None, 1, 2, 3, 4, None)
_MAPS = st_numpy.arrays(
    np.int32, st_numpy.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.builds(lambda c, n: 256 * c + n, st.integers(0, 5),
                       st.sampled_from([0, 1, 255])))


@hypothesis.given(_MAPS, st.randoms(use_true_random=False))
def test_both_label_formats_are_identical(instances, random):
  label = mapillary_labels.from_instances(
      instances, CATEGORIES, SPEC, 'a.png', 'keep')
  values = sorted(set(instances.ravel().tolist()))
  segment_ids = random.sample(range(1, 2**24), len(values))
  id_map = np.zeros_like(instances)
  segments = []
  for value, segment_id in zip(values, segment_ids):
    id_map[instances == value] = segment_id
    segments.append({
        'id': segment_id, 'category_id': 10 * (value // 256),
        'area': int((instances == value).sum()), 'iscrowd': 0})
  random.shuffle(segments)
  np.testing.assert_array_equal(label, mapillary_labels.from_panoptic(
      id_map, segments, {10 * i: c for i, c in enumerate(CATEGORIES)}, SPEC,
      'a.png', 'keep'))
  for value in values:
    category = CATEGORIES[value // 256]
    here = np.unique(label[instances == value])
    assert len(here) == 1
    if category is None:
      assert here[0] == SPEC.void_label
    else:
      train_id, number = divmod(int(here[0]), 1000)
      assert train_id == category - 1
      assert (number > 0) == SPEC.category(train_id).is_thing


@hypothesis.given(_MAPS)
def test_things_are_numbered_from_the_top(instances):
  label = mapillary_labels.from_instances(
      instances, CATEGORIES, SPEC, 'a.png', 'keep')
  for train_id in SPEC.thing_ids:
    numbers = [v % 1000 for v in label.ravel() if v // 1000 == train_id]
    assert list(dict.fromkeys(numbers)) == list(
        range(1, len(set(numbers)) + 1))


@hypothesis.given(st.integers(6 * 256, 65_535))
def test_unknown_classes_are_refused(value):
  with pytest.raises(errors.UserError, match=f'a.png: has the value {value},'):
    mapillary_labels.from_instances(
        np.array([[256, value]], np.int32), CATEGORIES, SPEC, 'a.png', 'keep')


def test_too_many_instances_are_refused():
  few = dataset_spec.DatasetSpec(
      name='few', label_divisor=10, ignore_label=255,
      categories=SPEC.categories)
  instances = 256 + np.arange(10, dtype=np.int32).reshape(2, 5)
  with pytest.raises(errors.UserError, match="more than 9 instances of 'class"):
    mapillary_labels.from_instances(
        instances, CATEGORIES, few, 'a.png', 'keep')
