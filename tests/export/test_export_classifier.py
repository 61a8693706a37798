"""An exported classifier returns what the original returns."""

import io
import json

import numpy as np
from PIL import Image
import pytest

import axial_tf
from axial_tf import errors
from axial_tf.export import saved_model, serving_settings
from axial_tf.files import model_folders
from axial_tf.prediction import predictor
from tests import color_model, tiny_classes
from tests.export import session, tiny_classifier


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return saved_model.export_saved_model(
      tiny_classifier.inference(), str(tmp_path_factory.mktemp('classifier')),
      metadata={'metrics': {'top1': 0.75}, 'checkpoint': 'ckpt-3'},
      settings=serving_settings.ServingSettings(on_error='mark', top=2))


def _pictures():
  return [tiny_classes.png(label, label, side=20 + 7 * label)
          for label in range(3)]


def _pixels(png: bytes) -> np.ndarray:
  return np.asarray(Image.open(io.BytesIO(png)))


def test_files_and_tensors_give_the_best_classes(folder):
  served = session.ServedModel(folder)
  outputs = served('serving_default', image_bytes=_pictures())
  assert outputs['classes'].dtype == np.int32
  assert outputs['classes'].shape == outputs['scores'].shape == (3, 2)
  assert list(outputs['class_names'][:, 0]) == [b'red', b'green', b'blue']
  np.testing.assert_array_equal(outputs['classes'][:, 0], [0, 1, 2])
  for index, png in enumerate(_pictures()):
    image = _pixels(png)[np.newaxis]
    alone = served('image_tensor', image_tensor=image)
    for key in ('classes', 'class_names'):
      np.testing.assert_array_equal(alone[key][0], outputs[key][index])
    expected = tiny_classifier.inference()(image)
    np.testing.assert_allclose(
        served('probabilities', image_tensor=image)['probabilities'],
        expected, atol=1e-5)
    np.testing.assert_allclose(
        outputs['scores'][index], np.sort(expected[0])[:0:-1], atol=1e-5)


def test_bad_files_are_marked(folder):
  served = session.ServedModel(folder)
  good = _pictures()[1]
  outputs = served('serving_default', image_bytes=[b'', good, good[:60]])
  np.testing.assert_array_equal(outputs['classes'][[0, 2]], -1)
  np.testing.assert_array_equal(outputs['scores'][[0, 2]], 0)
  np.testing.assert_array_equal(outputs['class_names'][[0, 2]], b'')
  assert outputs['class_names'][1, 0] == b'green'
  for signature in ('image_tensor', 'probabilities'):
    empty = served(signature, image_tensor=np.zeros([0, 5, 5, 3], np.uint8))
    assert all(value.shape[0] == 0 for value in empty.values())


def test_a_bad_file_can_fail_the_request(tmp_path):
  served = session.ServedModel(saved_model.export_saved_model(
      tiny_classifier.inference(), str(tmp_path)))
  with session.invalid_argument('image_bytes[1] is not a readable'):
    served('serving_default', image_bytes=[_pictures()[0], b'?'])


def test_model_json_and_model_card_describe_it(folder):
  content = model_folders.read_model_json(folder)
  assert content['class_spec'] == json.loads(
      json.dumps(tiny_classes.SPEC.to_json()))
  assert content['input_rules']['image_size'] == [16, 16]
  assert content['serving'] == {
      'max_pixels': 50_000_000, 'on_error': 'mark', 'top': 2,
      'batch_sizes': [1, 2, 4], 'compiled_size': None}
  with open(f'{folder}/{model_folders.MODEL_CARD}') as file:
    card = file.read()
  assert '# Image classification of colors\n' in card
  assert '- top-1: 75.00\n' in card
  assert '| 2 | n3 | blue |\n' in card
  assert 'side of 20 pixels, then cropped to the central 16 x 16' in card
  assert 'marked with -1' in card


def test_other_weights_are_noticed(folder):
  assert saved_model.check(tiny_classifier.inference(), folder).agreement == 1
  other = tiny_classifier.inference()
  other.model.dense.kernel.assign(0.9 * other.model.dense.kernel)
  with pytest.raises(errors.UserError, match='probabilities differ'):
    saved_model.check(other, folder)


def test_it_is_used_like_a_training_run(folder):
  for path in (folder, folder.rpartition('/')[0]):
    assert model_folders.find(path) == (
        folder, True, model_folders.CLASSIFICATION)
  classify = axial_tf.ImageClassifier(folder)
  best = [found[0].name for found in classify.batch(
      [_pixels(png) for png in _pictures()], top=1)]
  assert best == ['red', 'green', 'blue']
  with pytest.raises(errors.UserError, match='got one of classification'):
    predictor.Predictor(folder)


def test_an_export_of_another_task_is_refused(tmp_path, no_saved_model):
  version = saved_model.export_saved_model(
      color_model.inference(), str(tmp_path))
  assert model_folders.find(version).task is model_folders.PANOPTIC
  with pytest.raises(errors.UserError, match='got one of panoptic'):
    axial_tf.ImageClassifier(version)
