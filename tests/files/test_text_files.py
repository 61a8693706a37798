"""Text and JSON as editors on Windows write them, in every reader."""

import json
import re

import pytest

from axial_tf import errors
from axial_tf.data.common import record_checks
from axial_tf.evaluation import panoptic_files
from axial_tf.files import (
  json_files,
  model_folders,
  text_files,
)
from axial_tf.prediction.formats import result_folders
from axial_tf.specs import class_spec, dataset_spec
from data_prep.engine import dataset_info
from data_prep.inspection import record_folders
from data_prep.readers import (
  coco_annotations,
  imagenet_classes,
  imagenet_labels,
  infer_spec,
  mapillary_classes,
  splits,
)

# As an editor stores a text whose lines end with LF.
_ENCODINGS = {
    'utf8': lambda text: text.encode(),
    'mark': lambda text: text.encode('utf-8-sig'),
    'crlf': lambda text: text.replace('\n', '\r\n').encode('utf-8-sig'),
    'utf16': lambda text: text.replace('\n', '\r\n').encode('utf-16'),
    'utf16_be': lambda text: b'\xfe\xff' + text.encode('utf-16-be'),
    'utf16_without_mark': lambda text: text.encode('utf-16-le'),
    'utf16_be_without_mark': lambda text: text.encode('utf-16-be'),
    'cr': lambda text: text.replace('\n', '\r').encode(),
}


@pytest.fixture(params=_ENCODINGS)
def encode(request):
  return _ENCODINGS[request.param]


@pytest.mark.parametrize('text', ['', 'a', 'zwölf\n\n  Äpfel \n', '\tx\n'])
def test_text_is_the_same_in_any_encoding(tmp_path, encode, text):
  path = tmp_path / 'a.txt'
  path.write_bytes(encode(text))
  assert text_files.read(path) == text


def test_lines_are_stripped(tmp_path):
  path = tmp_path / 'a.txt'
  path.write_bytes(b'\xef\xbb\xbf a\t\r\n\r\nb\x0bc \r\n\r\n \r\n')
  assert text_files.lines(path) == ['a', '', 'b\x0bc']
  path.write_bytes(b'\xef\xbb\xbf\r\n')
  assert text_files.lines(path) == []


@pytest.mark.parametrize('content, words', [
    ('eins\nzwölf\n'.encode('latin-1'), r'a.txt: .*line 2 is not UTF-8 text; '
     'save the file as UTF-8'),
    (b'\xff\xfea\0\n\0b\0\x00\xd8c\0', r'a.txt: .*line 2 is not UTF-16-LE'),
    (None, 'a.txt: no such file; expected a list')])
def test_invalid_text_is_reported_with_its_line(tmp_path, content, words):
  path = tmp_path / 'a.txt'
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(errors.UserError, match=words) as raised:
    text_files.read(path, 'a list')
  assert '\n' not in str(raised.value)


def test_a_folder_is_not_text(tmp_path):
  with pytest.raises(errors.UserError, match='directory'):
    text_files.read(tmp_path)


@pytest.mark.parametrize('content', [b'', b'{', b'[' * 100_000, b'\xff'])
def test_invalid_json_is_reported(tmp_path, content):
  path = tmp_path / 'a.json'
  path.write_bytes(content)
  with pytest.raises(errors.UserError, match='a.json: .*a spec') as raised:
    json_files.read(path, 'a spec')
  assert '\n' not in str(raised.value)


_SPEC = dataset_spec.DatasetSpec(
    'größe', (dataset_spec.Category(7, 0, 'Straße', False, (1, 2, 3)),), 10, 9)
_CLASSES = class_spec.ClassSpec.from_ids('größe', ['a'], {'a': 'Bär'})
_INFO = {'spec': _SPEC.to_json(), 'splits': {}}
_PANOPTIC = {
    'images': [], 'annotations': [{
        'image_id': 3, 'file_name': 'a.png', 'segments_info': []}],
    'categories': [{'id': 7, 'name': 'Straße', 'isthing': 0}]}
_CONFIG = {'labels': [{'name': 'Straße', 'instances': False, 'evaluate': True,
                       'color': [1, 2, 3]}]}


def _panoptic_side(path):
  path.with_suffix('').mkdir()
  return panoptic_files.PanopticFiles.load(str(path)).spec().categories[0].name


def _inferred(path):
  folder = path.parent / 'mine' / 'annotations'
  folder.mkdir(parents=True)
  (folder / 'panoptic_x.json').write_bytes(path.read_bytes())
  root = str(path.parent / 'mine')
  return infer_spec.write_spec(
      root, str(path.parent / 'out.json'),
      infer_spec.find(root, 'x', splits.ReadOptions())).categories[0].name


def _task_of_export(folder):
  (folder / 'saved_model.pb').touch()
  return model_folders.find(folder).task


@pytest.mark.parametrize('name, content, read, expected', [
    ('a.json', _SPEC.to_json(), lambda p: dataset_spec.DatasetSpec.load(str(p)),
     _SPEC),
    ('a.json', _CLASSES.to_json(), lambda p: class_spec.ClassSpec.load(str(p)),
     _CLASSES),
    ('dataset_info.json', _INFO, lambda p: record_checks.read_info(str(p)),
     _INFO),
    ('dataset_info.json', _INFO,
     lambda p: dataset_info.read(str(p.parent), _SPEC), _INFO),
    ('a.json', _SPEC.to_json(),
     lambda p: record_folders.spec_of([], str(p)), _SPEC),
    ('model.json', {'class_spec': 'ä'},
     lambda p: model_folders.read_model_json(str(p.parent)),
     {'class_spec': 'ä'}),
    ('model.json', {'class_spec': 'ä'},
     lambda p: _task_of_export(p.parent), model_folders.CLASSIFICATION),
    ('config.json', _CONFIG,
     lambda p: mapillary_classes.read_config(p)[0].name, 'Straße'),
    ('config.json', _CONFIG,
     lambda p: result_folders.read_class_names(str(p)), ['Straße']),
    ('a.json', _PANOPTIC, coco_annotations.read_json, _PANOPTIC),
    ('a.json', _PANOPTIC, _panoptic_side, 'Straße'),
    ('a.json', _PANOPTIC, _inferred, 'Straße'),
])
def test_every_reader_of_json(tmp_path, encode, name, content, read, expected):
  path = tmp_path / name
  path.write_bytes(encode(json.dumps(content, indent=1, ensure_ascii=False)))
  assert read(path) == expected


_VAL = [f'ILSVRC2012_val_{k:08d}.JPEG' for k in (1, 2)]


@pytest.mark.parametrize('lists', [
    {'imagenet_2012_validation_synset_labels.txt': 'n1\nn2\n'},
    {'LOC_val_solution.csv': 'ImageId,PredictionString\n'
     'ILSVRC2012_val_00000002,n2 1 1 9 9 n1 1 1 2 2\n'
     'ILSVRC2012_val_00000001,n1 1 1 9 9 \n'}])
def test_every_list_of_imagenet(tmp_path, encode, lists):
  lists = {**lists, 'synsets.txt': 'n2\thündchen\nn1 Bär, Ursus\n'}
  for name, text in lists.items():
    (tmp_path / name).write_bytes(encode(text))
  chosen = tmp_path / 'chosen.txt'
  chosen.write_bytes(encode('n2 Hund\nn1\n'))
  spec = imagenet_classes.read_spec(
      [tmp_path], [], splits.ReadOptions(classes=str(chosen)))
  assert [(c.id, c.name) for c in spec.classes] == [
      ('n1', 'Bär, Ursus'), ('n2', 'Hund')]
  found = imagenet_labels.read(tmp_path, _VAL, [tmp_path])
  assert {name: class_id for name, class_id, _ in found} == {
      _VAL[0]: 'n1', _VAL[1]: 'n2'}


def test_no_other_module_reads_json_of_users(project_root):
  """Those listed read files written by this package or by a server."""
  own = {'axial_tf/__main__.py', 'axial_tf/files/json_files.py',
         'axial_tf/cluster/beam_tasks.py', 'axial_tf/files/earlier_results.py',
         'axial_tf/files/process_identity.py', 'axial_tf/training/progress.py',
         'axial_tf/training/best_checkpoint.py',
         'axial_tf/training/cluster.py', 'axial_tf/training/peers.py',
         'axial_tf/client/rest_transport.py', 'data_prep/engine/shards.py'}
  found = {
      path.relative_to(project_root).as_posix()
      for package in ('axial_tf', 'data_prep')
      for path in (project_root / package).rglob('*.py')
      if re.search(r'json\.loads?\(|\.read_text\(', path.read_text('utf-8'))}
  assert found == own


@pytest.mark.parametrize('value, expected', [
    (48, 48), (48.0, 48), ('48', 48), ('048', 48), ('48.0', 48),
    ('48.5', '48.5'), (48.5, 48.5), ('aachen_0', 'aachen_0'), ('-1', '-1'),
    (True, True), ('', ''), ('٤', '٤'), ('9' * 5000, '9' * 5000), (None, None),
    (float('inf'), float('inf'))])
def test_ids_have_one_form(value, expected):
  found = json_files.number(value)
  assert (found, type(found)) == (expected, type(expected))


