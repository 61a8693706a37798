"""The page's requests about classes are answered."""

import json

import pytest

from axial_tf import errors
from axial_tf.app import classification_viewer, uploads
from axial_tf.export import saved_model
from axial_tf.prediction import image_classifier
from tests import tiny_classes
from tests.app import bad_pictures
from tests.export import tiny_classifier


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('classes')
  (folder / 'grass.png').write_bytes(tiny_classes.png(1, 0, side=30))
  (folder / 'notes.png').write_bytes(bad_pictures.BAD['notes.png'][0])
  saved_model.export_saved_model(
      tiny_classifier.inference(), str(folder / 'export'))
  return folder


@pytest.fixture(scope='module')
def viewer(folder):
  return classification_viewer.ClassificationViewer(
      image_classifier.ImageClassifier(str(folder / 'export')),
      uploads.Uploads(str(folder), 10_000), 10 ** 6)


def test_the_most_probable_classes_are_shown(viewer, folder):
  shown = viewer.open(str(folder / 'grass.png'), 2)
  assert 'grass.png: 30 x 30 pixels' in shown.message
  assert [row[0] for row in shown.rows][0] == 'green' and len(shown.rows) == 2
  assert shown.bars.count('<b>') == 2
  assert shown.bars.index('green') < shown.bars.index('width:')
  assert shown.picture.shape == (720, 720, 3)
  made = viewer.file(shown.key, 'table')
  assert made.name == 'grass.json'
  content = json.loads(made.content)
  assert content['file'] == 'grass.png'
  assert [entry['name'] for entry in content['classes']][0] == 'green'
  with pytest.raises(errors.UserError, match='expected one of table'):
    viewer.file(shown.key, 'segments')


def test_what_is_wrong_is_said(viewer, folder):
  before = viewer.open(str(folder / 'grass.png'), 2)
  wrong = viewer.open(str(folder / 'notes.png'), 2, before.key)
  assert bad_pictures.NOT_READABLE in wrong.message and not wrong.rows
  with pytest.raises(errors.UserError, match='no longer kept'):
    viewer.file(before.key, 'table')
  assert viewer.open(None, 2)[:2] == ('', '')
