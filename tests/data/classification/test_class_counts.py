"""Classes without images, and images without class, stop the training."""

import json

import pytest

from axial_tf import errors
from axial_tf.data.classification import class_counts
from axial_tf.specs import class_spec

_SPEC = class_spec.ClassSpec.from_ids(
    'pets', ['n1', 'n2', 'n3'], {'n3': 'goldfish'})


def _write(folder, counts, split='train', **entry):
  folder.mkdir(exist_ok=True)
  (folder / 'dataset_info.json').write_text(json.dumps({
      'spec': _SPEC.to_json(),
      'splits': {split: {'counts': {'images': counts}, **entry}}}))
  return str(folder / f'{split}-00000-of-00001.tfrecord')


def test_all_classes_are_there(tmp_path):
  path = _write(tmp_path, {'0': 5, '1': 1, '2': 2})
  class_counts.check_classes([path], _SPEC, 0)


def test_folders_complete_each_other(tmp_path):
  paths = [_write(tmp_path / 'a', {'0': 5}),
           _write(tmp_path / 'b', {'1': 5, '2': 7})]
  class_counts.check_classes(paths, _SPEC, 0)
  with pytest.raises(errors.UserError, match="2 of 3 classes .* 'n2'"):
    class_counts.check_classes(paths[:1], _SPEC, 0)


def test_an_empty_class_is_named(tmp_path):
  path = _write(tmp_path, {'0': 5, '1': 1, '2': 0})
  with pytest.raises(errors.UserError) as caught:
    class_counts.check_classes([path], _SPEC, 0)
  message = str(caught.value)
  assert "1 of 3 classes" in message and "'n3' (goldfish)" in message
  assert '\n' not in message


@pytest.mark.parametrize('counts, first_label, label', [
    ({'0': 1, '1': 1, '2': 1, '3': 4}, 0, 3),
    ({'0': 4, '1': 1, '2': 1, '3': 1}, 1, 0),
    ({'-1': 4, '0': 1, '1': 1, '2': 1}, 0, -1)])
def test_a_label_out_of_range_is_named(tmp_path, counts, first_label, label):
  path = _write(tmp_path, counts)
  with pytest.raises(errors.UserError, match=f'4 images with the label {label}'
                     ', expected labels'):
    class_counts.check_classes([path], _SPEC, first_label)


def test_records_of_other_tools_are_not_counted(tmp_path):
  class_counts.check_classes([str(tmp_path / 'train-0')], _SPEC, 0)
  path = _write(tmp_path, {'0': 5}, split='other')
  class_counts.check_classes(
      [path.replace('other', 'train')], _SPEC, 0)
