"""Any ids of Cityscapes, against the definition pixel by pixel."""

import hypothesis
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
import numpy as np
import pytest

from axial_tf import errors
from axial_tf.specs import dataset_spec
from data_prep.readers import cityscapes_labels

SPEC = dataset_spec.DatasetSpec.load('cityscapes')
_CLASSES = st.integers(0, 33)
_IDS = st.one_of(
    _CLASSES, st.builds(lambda c, n: max(c, 1) * 1000 + n, _CLASSES,
                        st.sampled_from([0, 1, 999])))
_MAPS = st_numpy.arrays(
    np.int32, st_numpy.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=_IDS)


@hypothesis.given(_MAPS)
def test_each_pixel_has_its_class_and_instance(ids):
  label = cityscapes_labels.from_instance_ids(ids, SPEC, 'a.png', 'keep')
  numbers = {}
  for value in sorted(set(ids.ravel().tolist())):
    category = SPEC.by_source_id.get(value if value < 1000 else value // 1000)
    if category is None:
      expected = SPEC.void_label
    else:
      expected = category.train_id * 1000
      if category.is_thing and value >= 1000:
        numbers[category.id] = numbers.get(category.id, 0) + 1
        expected += numbers[category.id]
    assert (label[ids == value] == expected).all()
  assert label.dtype == np.int32


@hypothesis.given(_MAPS)
def test_classes(ids):
  classes = cityscapes_labels.class_ids(ids)
  assert ((classes >= 0) & (classes <= 33)).all()
  is_instance = ids >= 1000
  np.testing.assert_array_equal(classes[~is_instance], ids[~is_instance])
  np.testing.assert_array_equal(
      classes[is_instance], ids[is_instance] // 1000)


@hypothesis.given(st.one_of(
    st.integers(34, 999), st.integers(34_000, 65_535), st.integers(-9, -1)))
def test_other_ids_are_refused(value):
  ids = np.full([2, 3], 7, np.int32)
  ids[1, 1] = value
  with pytest.raises(errors.UserError, match=f'a.png: has the id {value},'):
    cityscapes_labels.from_instance_ids(ids, SPEC, 'a.png', 'keep')
