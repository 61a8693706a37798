"""Folders of results for the evaluators of the public data sets."""

import json
import os

import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.prediction import results
from axial_tf.prediction.formats import result_folders
from tests import color_model
from tests.color_model import BALL, GROUND, SKY, SPEC

_SCORES = {GROUND: 1.0, SKY: 1.0, BALL + 1: 0.75, BALL + 2: 0.5}


def _result():
  return results.PanopticResult.from_map(
      color_model.scene()[1], SPEC, _SCORES)


def _written(folder):
  return sorted(os.path.relpath(f, folder) for f in folder.glob('**/*.*'))


def test_coco_ids_come_from_a_list_or_from_names(tmp_path):
  listed = tmp_path / 'list.json'
  listed.write_text(json.dumps({'images': [
      {'id': 7, 'file_name': 'val/a.jpg'}, {'id': 9, 'file_name': 'b.jpg'}]}))
  folder = result_folders.CocoFolder(
      str(tmp_path / 'out'), SPEC, str(listed))
  assert folder.image_id('/any/where/a.jpg') == 7
  with pytest.raises(errors.UserError, match='c.jpg: is not in .*list.json'):
    folder.image_id('c.jpg')
  by_name = result_folders.CocoFolder(str(tmp_path / 'out'), SPEC)
  assert by_name.image_id('x/000000000139.jpg') == 139
  with pytest.raises(errors.UserError, match='--image_list'):
    by_name.image_id('street.jpg')
  folder.add('x/b.jpg', _result())
  folder.close()
  content = json.loads((tmp_path / 'out' / 'panoptic.json').read_text())
  assert content['annotations'][0]['image_id'] == 9
  assert _written(tmp_path / 'out') == [
      'detections.json', 'panoptic.json', 'panoptic/b.png']


def test_cityscapes_files_have_the_names_that_its_evaluators_expect(tmp_path):
  folder = result_folders.CityscapesFolder(str(tmp_path), SPEC)
  folder.add('in/ulm_000001_000019_leftImg8bit.png', _result())
  folder.close()
  assert _written(tmp_path) == [
      'instances/ulm_000001_000019.txt', 'instances/ulm_000001_000019_000.png',
      'instances/ulm_000001_000019_001.png', 'panoptic.json',
      'panoptic/ulm_000001_000019_panoptic.png',
      'semantic/ulm_000001_000019_labelIds.png']
  content = json.loads((tmp_path / 'panoptic.json').read_text())
  assert content['annotations'][0]['image_id'] == 'ulm_000001_000019'


def test_mapillary_instances_need_the_class_list(tmp_path):
  classes = tmp_path / 'config.json'
  names = ['sky', 'void--unlabeled', 'ball', 'ground']
  classes.write_text(json.dumps({'labels': [{'name': n} for n in names]}))
  for class_names, expected in (
      (None, ['panoptic.json', 'panoptic/a.png']),
      (result_folders.read_class_names(str(classes)),
       ['instances/a.png', 'panoptic.json', 'panoptic/a.png'])):
    folder = result_folders.MapillaryFolder(
        str(tmp_path / 'out'), SPEC, class_names)
    folder.add('in/a.jpg', _result())
    folder.close()
    assert _written(tmp_path / 'out') == expected
  values = np.asarray(Image.open(tmp_path / 'out' / 'instances' / 'a.png'))
  is_ball = _result().panoptic_map == BALL + 2
  np.testing.assert_array_equal(
      np.array(names)[values // 256][is_ball], 'ball')


def test_two_images_of_one_id_are_refused_at_the_start(tmp_path):
  folder = result_folders.CocoFolder(str(tmp_path), SPEC)
  result_folders.require_different_ids(folder, ['a/1.jpg', 'a/2.jpg'])
  with pytest.raises(errors.UserError, match='b/01.png and a/1.jpg'):
    result_folders.require_different_ids(folder, ['a/1.jpg', 'b/01.png'])


@pytest.mark.parametrize('content, word', [
    ('no json', 'expected a JSON file'), ('[]', "a list under 'images'"),
    ('{"images": [{"id": "x", "file_name": "a"}]}', r"'id' \(int\), got 'x'"),
    ('{"images": [{"id": 1}]}', "'file_name'")])
def test_an_invalid_image_list(tmp_path, content, word):
  path = tmp_path / 'list.json'
  path.write_text(content)
  with pytest.raises(errors.UserError, match=word):
    result_folders.CocoFolder(str(tmp_path), SPEC, str(path))


def test_names_that_are_not_utf8_are_escaped(tmp_path):
  folder = result_folders.CityscapesFolder(str(tmp_path), SPEC)
  folder.add(os.fsdecode(b'in/k\xf6ln_1_2_leftImg8bit.png'), _result())
  folder.close()
  content = json.loads((tmp_path / 'panoptic.json').read_text('utf-8'))
  assert content['annotations'][0]['image_id'] == 'k\\xf6ln_1_2'
  assert (tmp_path / 'panoptic' / 'k\\xf6ln_1_2_panoptic.png').exists()
  lines = (tmp_path / 'instances' / 'k\\xf6ln_1_2.txt').read_text('utf-8')
  assert lines.startswith('k\\xf6ln_1_2_000.png')
