"""The extra signature compiles; without it, nothing of an export does."""

import os

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.export import (
  comparison,
  compiled_signature,
  saved_model,
  serving_settings,
)
from axial_tf.files import images, model_folders
from axial_tf.layers.attention import base, chunks
from tests import color_model, programs, tiny_classes, tiny_network
from tests.export import session, tiny_classifier

_SIZE = 24, 40


def _settings(size, **options):
  return serving_settings.ServingSettings(compiled_size=size, **options)


@pytest.fixture(scope='module')
def inference():
  return color_model.inference(max_long_side=40)


@pytest.fixture(scope='module')
def folder(inference, tmp_path_factory):
  return saved_model.export_saved_model(
      inference, str(tmp_path_factory.mktemp('compiled')),
      settings=_settings(_SIZE))


@pytest.fixture(scope='module')
def classifier_folder(tmp_path_factory):
  return saved_model.export_saved_model(
      tiny_classifier.inference(), str(tmp_path_factory.mktemp('classifier')),
      settings=_settings((16, 16), on_error='mark'))


def _file(height, width):
  return images.png_bytes(comparison.generated_image(height, width))


@pytest.mark.slow
@pytest.mark.parametrize('name', ['folder', 'classifier_folder'])
def test_only_the_extra_signature_has_compiled_functions(name, request):
  signatures = tf.saved_model.load(request.getfixturevalue(name)).signatures
  assert len(signatures) == 4
  assert {key for key, function in signatures.items()
          if programs.compiled(function.graph)} == {'compiled'}


def test_its_segments_are_those_of_the_others(folder, inference):
  served = session.ServedModel(folder)
  # One file has the size of the program, the other is shrunk to it.
  files = [_file(*_SIZE), _file(48, 80)]
  compiled = served('compiled', image_bytes=files)
  default = served('serving_default', image_bytes=files)
  assert set(compiled) == set(default)
  for key in set(default) - {'segment_scores'}:
    np.testing.assert_array_equal(compiled[key], default[key], key)
  np.testing.assert_allclose(
      compiled['segment_scores'], default['segment_scores'], atol=1e-5)
  expected = inference.predict(
      comparison.generated_image(*_SIZE)[np.newaxis])['panoptic_map']
  np.testing.assert_array_equal(
      compiled['panoptic_map'][0, :24, :40], expected[0])


def test_attention_is_traced_for_accelerators():
  model = tiny_network.TinyNetwork()
  found = []

  def answer(files):
    found.append({
        (module.settings.backend, module.settings.chunk_bytes)
        for module in model.submodules
        if isinstance(module, base.AttentionLayer)})
    return {'files': files}

  answer(tf.constant(['']))
  compiled_signature.build(model, answer).get_concrete_function()
  assert found == [
      {('auto', None)}, {('compiled', chunks.CHUNK_BYTES['gpu'])}]


def test_its_classes_are_those_of_the_others(classifier_folder):
  served = session.ServedModel(classifier_folder)
  files = [tiny_classes.png(label, label, side=20 + 7 * label)
           for label in range(3)] + [b'']
  for count in (4, 2):  # A program for each size of a batch.
    compiled, default = (
        served(signature, image_bytes=files[-count:])
        for signature in ('compiled', 'serving_default'))
    np.testing.assert_array_equal(compiled['classes'], default['classes'])
    np.testing.assert_allclose(
        compiled['scores'], default['scores'], atol=1e-5)
    assert compiled['classes'][-1, 0] == -1


def test_files_of_other_sizes_are_refused(folder):
  served = session.ServedModel(folder)
  with session.invalid_argument(
      'image_bytes[1] is segmented at 20 x 40 pixels, but this signature '
      'takes 24 x 40; send it to serving_default'):
    served('compiled', image_bytes=[_file(*_SIZE), _file(40, 80)])
  with session.invalid_argument('image_bytes[0] is not a readable'):
    served('compiled', image_bytes=[b'?'])


def test_model_json_and_model_card_have_its_size(folder):
  content = model_folders.read_model_json(folder)
  assert content['serving']['compiled_size'] == [24, 40]
  with open(os.path.join(folder, model_folders.MODEL_CARD)) as file:
    assert 'the network sees at 24 x 40 pixels; it needs' in file.read()


def test_it_is_compared_with_the_model(inference, folder, monkeypatch):
  seen = []
  real = comparison.compare_segments

  def compare(inference, signatures, samples, from_files):
    seen.append(samples[-1].shape)
    # A program of another model:
    (outputs, row), = from_files[-1]
    from_files[-1] = [
        ({**outputs, 'panoptic_map': 1 + outputs['panoptic_map']}, row)]
    return real(inference, signatures, samples, from_files)

  row = saved_model._ROWS[model_folders.PANOPTIC]
  monkeypatch.setitem(saved_model._ROWS, model_folders.PANOPTIC,
                      row._replace(compare=compare))
  with pytest.raises(errors.UserError, match='disagrees'):
    saved_model.check(inference, folder)
  assert seen == [(24, 40, 3)]


@pytest.mark.parametrize('size, options, message', [
    ((0, 9), {}, 'compiled_size: expected None or height and width of at'),
    ((40, 60), {'max_long_side': 49},
     '--compiled_size: expected a longer side of at most 49 pixels'),
    ((24, 40), {'max_long_side': 49, 'enlarge': True},
     'a longer side of 49 pixels, to which the model resizes.*got 24,40'),
    ((20, 60), {'max_pixels': 1000}, r'at most 1000 pixels \(--max_pixels\)')])
def test_sizes_that_the_network_never_sees(tmp_path, size, options, message):
  limits = {key: options.pop(key) for key in list(options)
            if key == 'max_pixels'}
  with pytest.raises(errors.UserError, match=message):
    saved_model.export_saved_model(
        color_model.inference(**options), str(tmp_path),
        settings=_settings(size, **limits))
  assert not os.listdir(tmp_path)


def test_a_classifier_sees_one_size_only(tmp_path):
  with pytest.raises(errors.UserError, match=(
      '--compiled_size: expected 16,16, the size of all images .*got 32,16')):
    saved_model.export_saved_model(
        tiny_classifier.inference(), str(tmp_path),
        settings=_settings((32, 16)))
