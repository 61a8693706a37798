"""Class specs: order of labels, JSON, and what is refused."""

import dataclasses
import json

from hypothesis import given
from hypothesis import strategies as st
import pytest

from axial_tf import errors
from axial_tf.specs import class_spec

_SPEC = class_spec.ClassSpec.from_ids(
    'tiny', ['n02', 'n01', 'n10'], {'n01': 'cat, house cat', 'n10': 'dog'})


def test_labels_follow_the_sorted_ids():
  assert _SPEC.labels == {'n01': 0, 'n02': 1, 'n10': 2}
  assert [c.name for c in _SPEC.classes] == ['cat, house cat', 'n02', 'dog']
  assert _SPEC.num_classes == 3


@given(st.sets(st.text(min_size=1), min_size=1))
def test_json_keeps_everything(ids):
  spec = class_spec.ClassSpec.from_ids('any', ids, {})
  content = json.loads(json.dumps(spec.to_json()))
  assert class_spec.ClassSpec.from_json(content) == spec


def test_same_labels_despite_other_names():
  other = class_spec.ClassSpec.from_ids('other', ['n01', 'n02', 'n10'], {})
  assert _SPEC.has_same_labels(other)
  fewer = class_spec.ClassSpec.from_ids('tiny', ['n01', 'n02'], {})
  assert not _SPEC.has_same_labels(fewer)
  swapped = dataclasses.replace(_SPEC, classes=tuple(
      dataclasses.replace(c, id=i)
      for c, i in zip(_SPEC.classes, ('n02', 'n01', 'n10'))))
  assert not _SPEC.has_same_labels(swapped)


def test_loads_a_spec_and_a_dataset_info(tmp_path):
  path = tmp_path / 'spec.json'
  path.write_text(json.dumps(_SPEC.to_json()))
  assert class_spec.ClassSpec.load(str(path)) == _SPEC
  path.write_text(json.dumps({'spec': _SPEC.to_json(), 'splits': {}}))
  assert class_spec.ClassSpec.load(str(path)) == _SPEC


@pytest.mark.parametrize('content, words', [
    ({'name': 'a'}, "missing 'classes'"),
    ({'name': 'a', 'classes': [], 'x': 1}, "unknown key 'x'"),
    ({'name': 'a', 'classes': {}}, 'expected a list'),
    ({'name': 'a', 'classes': []}, 'at least one class'),
    ({'name': 'a', 'classes': [3]}, r'classes\[0\]: expected a JSON object'),
    ({'name': 'a', 'classes': [{'label': 1, 'id': 'b', 'name': 'c'}]},
     'labels 0..0 in order, got 1'),
    ({'name': 'a', 'classes': [{'label': 0, 'id': 7, 'name': 'c'}]},
     'ImageClass.id: expected str'),
    ({'name': 'a', 'classes': [{'label': i, 'id': 'b', 'name': 'c'}
                               for i in range(2)]}, "have the id 'b'"),
    ([], 'expected a JSON object'),
])
def test_mistakes_are_named(tmp_path, content, words):
  path = tmp_path / 'spec.json'
  path.write_text(json.dumps(content))
  with pytest.raises(errors.UserError, match=words) as caught:
    class_spec.ClassSpec.load(str(path))
  assert str(path) in str(caught.value)


@pytest.mark.parametrize('text', [None, '{"name"', '\udcff'])
def test_unreadable_files_are_named(tmp_path, text):
  path = tmp_path / 'spec.json'
  if text is not None:
    path.write_bytes(text.encode(errors='surrogateescape'))
  with pytest.raises(errors.UserError, match=(
      'spec.json: .*expected the JSON file of a class spec')):
    class_spec.ClassSpec.load(str(path))
