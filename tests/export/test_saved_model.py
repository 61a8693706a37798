"""The SavedModel returns what the model returns, or is not written."""

import io
import json
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

import axial_tf
from axial_tf import errors
from axial_tf.export import model_card, saved_model
from axial_tf.files import model_folders
from axial_tf.inference import multi_scale
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.models import panoptic_decoder, panoptic_deeplab, settings_by_name
from axial_tf.specs import dataset_spec
from tests import color_model


def _encoded(image, kind='PNG', **options) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, format=kind, **options)
  return buffer.getvalue()


def _decoded_png(png: bytes) -> np.ndarray:
  rgb = np.asarray(Image.open(io.BytesIO(png))).astype(np.int32)
  return rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]


@pytest.fixture(scope='module')
def export_dir(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp('export'))
  saved_model.export_saved_model(
      color_model.inference(max_long_side=40), folder,
      metadata={'metrics': {'pq': 0.5}})
  return folder


@pytest.fixture(scope='module')
def signatures(export_dir):
  loaded = tf.saved_model.load(os.path.join(export_dir, '1'))
  yield loaded.signatures


def test_a_batch_of_files_of_different_sizes_and_types(signatures):
  small, small_map = color_model.scene()
  large, large_map = color_model.scene(scale=2)
  grey = np.zeros([30, 10], np.uint8)
  outputs = signatures['serving_default'](image_bytes=tf.constant([
      _encoded(small), _encoded(large, 'JPEG', quality=100, subsampling=0),
      _encoded(grey), _encoded(small, 'JPEG', quality=100, subsampling=0)]))
  outputs = {key: value.numpy() for key, value in outputs.items()}
  np.testing.assert_array_equal(outputs['height'], [24, 48, 30, 24])
  np.testing.assert_array_equal(outputs['width'], [40, 80, 10, 40])
  assert outputs['panoptic_map'].shape == (4, 48, 80)
  for index, expected in ((0, small_map), (1, large_map), (3, small_map)):
    height, width = expected.shape
    panoptic_map = outputs['panoptic_map'][index]
    # JPEG may move a pixel of an edge.
    assert np.mean(panoptic_map[:height, :width] == expected) > 0.99
    assert np.all(panoptic_map[height:] == color_model.SPEC.void_label)
    assert np.all(panoptic_map[:, width:] == color_model.SPEC.void_label)
    np.testing.assert_array_equal(
        _decoded_png(outputs['panoptic_png_bytes'][index]),
        panoptic_map[:height, :width])
  np.testing.assert_array_equal(outputs['num_segments'], [4, 4, 1, 4])
  assert outputs['segment_areas'][0, :4].sum() == 24 * 40


def test_both_signatures_equal_the_model(signatures):
  images = np.stack([color_model.scene(scale=3)[0]] * 2)
  images[1] = images[1, :, ::-1]
  expected = color_model.inference(max_long_side=40).predict(
      tf.constant(images))
  from_files = signatures['serving_default'](
      image_bytes=tf.constant([_encoded(image) for image in images]))
  from_tensor = signatures['image_tensor'](image_tensor=tf.constant(images))
  assert set(from_files) == set(from_tensor)
  for outputs in (from_files, from_tensor):
    for key in set(expected) - {'score_map'}:
      np.testing.assert_allclose(outputs[key], expected[key], rtol=1e-5)


def test_heads_are_those_of_the_model(signatures):
  images = tf.constant(color_model.scene()[0])[tf.newaxis]
  outputs = signatures['heads'](image_tensor=images)
  assert set(outputs) == {
      'semantic_probabilities', 'center_heatmap', 'offset'}
  for key, value in outputs.items():
    np.testing.assert_allclose(
        value, color_model.inference()(images)[key], rtol=1e-5)


def test_an_empty_batch_gives_empty_results(signatures):
  outputs = signatures['serving_default'](
      image_bytes=tf.constant([], tf.string))
  assert all(value.shape[0] == 0 for value in outputs.values())


@pytest.mark.parametrize('content', [b'', b'not an image'])
def test_a_file_that_is_no_image_is_an_invalid_argument(signatures, content):
  with pytest.raises(tf.errors.InvalidArgumentError):
    signatures['serving_default'](image_bytes=tf.constant([content]))


def test_model_json_describes_the_model(export_dir):
  content = model_folders.read_model_json(os.path.join(export_dir, '1'))
  assert dataset_spec.DatasetSpec.from_json(
      content['dataset_spec']) == color_model.SPEC
  assert content['input_rules']['max_long_side'] == 40
  assert content['metrics'] == {'pq': 0.5}
  assert content['axial_tf_version'] == axial_tf.__version__
  assert content['merging']['max_centers'] == 6


@pytest.mark.slow
def test_it_runs_where_axial_tf_cannot_be_imported(export_dir, tmp_path):
  image, panoptic = color_model.scene()
  np.savez(tmp_path / 'scene.npz', image=image, panoptic=panoptic)
  program = textwrap.dedent('''
      import sys
      sys.modules['axial_tf'] = None  # Makes every import of it fail.
      import numpy as np
      import tensorflow as tf
      scene = np.load(sys.argv[2])
      with tf.compat.v1.Session(graph=tf.Graph()) as session:
        # The session loader is what TensorFlow Serving uses.
        meta_graph = tf.compat.v1.saved_model.load(
            session, ['serve'], sys.argv[1])
        signature = meta_graph.signature_def['image_tensor']
        panoptic = session.run(
            signature.outputs['panoptic_map'].name,
            {signature.inputs['image_tensor'].name: scene['image'][None]})
      np.testing.assert_array_equal(panoptic[0], scene['panoptic'])
      print('equal')
      ''')
  done = subprocess.run(
      [sys.executable, '-c', program, os.path.join(export_dir, '1'),
       str(tmp_path / 'scene.npz')],
      capture_output=True, text=True, check=False)
  assert done.stdout == 'equal\n', done.stderr


def test_only_ops_of_the_stock_server(signatures):
  graph = signatures['serving_default'].graph.as_graph_def()
  nodes = list(graph.node) + [
      node for function in graph.library.function
      for node in function.node_def]
  operations = {node.op for node in nodes}
  assert {'DecodeJpeg', 'DecodePng'} <= operations
  assert not {op for op in operations if 'PyFunc' in op}


def test_versions_count_up_and_are_not_overwritten(tmp_path, no_saved_model):
  for name in ('1', '7', 'notes', '9'):
    (tmp_path / name).mkdir()
    if name != '9':  # Without a SavedModel it is no version.
      (tmp_path / name / 'saved_model.pb').write_text('')
  assert model_folders.versions(str(tmp_path)) == [1, 7]
  with pytest.raises(errors.UserError, match='exists'):
    saved_model.export_saved_model(
        color_model.inference(), str(tmp_path), version=7)
  written = saved_model.export_saved_model(
      color_model.inference(), str(tmp_path))
  assert written == str(tmp_path / '8')
  assert sorted(os.listdir(tmp_path)) == ['1', '7', '8', '9', 'notes']


@pytest.mark.parametrize('version', [0, -3])
def test_versions_are_positive(tmp_path, version):
  with pytest.raises(errors.UserError, match='positive'):
    saved_model.export_saved_model(
        color_model.inference(), str(tmp_path), version=version)


@pytest.mark.slow
def test_a_model_that_disagrees_with_itself_is_not_exported(tmp_path):
  class Moody(color_model.ColorModel):
    def call(self, images, training=False, output_size=None):
      outputs = super().call(images)
      noise = tf.random.normal(tf.shape(outputs['semantic_logits']))
      return {**outputs,
              'semantic_logits': outputs['semantic_logits'] + noise}

  inference = panoptic_inference.PanopticInference(
      Moody(), color_model.SPEC, color_model.MERGING)
  with pytest.raises(errors.UserError, match='disagrees'):
    saved_model.export_saved_model(inference, str(tmp_path))
  assert not os.listdir(tmp_path)


def test_weights_that_were_not_saved_are_noticed(tmp_path, monkeypatch):
  """The comparison detects a SavedModel with other weights."""
  inference = color_model.inference()
  real_save = tf.saved_model.save

  def save_other_weights(root, folder, signatures, options):
    kernel = inference.model.variables[0]
    trained = kernel.numpy()
    kernel.assign(trained * 0.5)
    real_save(root, folder, signatures=signatures, options=options)
    kernel.assign(trained)

  monkeypatch.setattr(tf.saved_model, 'save', save_other_weights)
  with pytest.raises(errors.UserError, match='heads differ'):
    saved_model.export_saved_model(inference, str(tmp_path))
  assert not os.listdir(tmp_path)


def test_a_file_in_the_way_is_named(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.UserError, match='is a file'):
    saved_model.export_saved_model(
        color_model.inference(), str(tmp_path / 'file'))


def test_damaged_model_json_is_named(tmp_path):
  (tmp_path / 'model.json').write_text('{"dataset_spec": ')
  with pytest.raises(errors.UserError, match='model.json'):
    model_folders.read_model_json(str(tmp_path))


@pytest.mark.slow
def test_a_version_is_checked_again_against_its_model(export_dir, tmp_path):
  version_dir = os.path.join(export_dir, '1')
  differences = saved_model.check(
      color_model.inference(max_long_side=40), version_dir)
  assert differences.values < 1e-5 and differences.agreement == 1
  other = color_model.inference(max_long_side=40)
  other.model.variables[0].assign(0.5 * other.model.variables[0])
  with pytest.raises(errors.UserError, match='heads differ'):
    saved_model.check(other, version_dir)
  with pytest.raises(errors.UserError, match='export the model again'):
    saved_model.check(other, export_dir)
  damaged = shutil.copytree(version_dir, tmp_path / '1')
  numbers = damaged / 'variables' / 'variables.data-00000-of-00001'
  numbers.write_bytes(numbers.read_bytes()[:100])
  with pytest.raises(errors.UserError, match='export the model again'):
    saved_model.check(other, str(damaged))


def test_the_model_card_describes_the_model(export_dir):
  with open(os.path.join(export_dir, '1', 'model_card.md')) as file:
    card = file.read()
  assert '# Panoptic segmentation of colors\n' in card
  assert '- PQ: 50.00\n' in card
  assert '| 1 | 37 | ball | thing | #dc3c28 |\n' in card
  assert 'shrunk, if it is larger, to a longer side of 40 pixels' in card
  assert 'Void is 900.' in card
  content = model_folders.read_model_json(os.path.join(export_dir, '1'))
  content['input_rules'].update(
      scales=[0.5, 1.0], flip=True, max_long_side=None)
  card = model_card.text({**content, 'metrics': {}})
  assert 'over the scales 0.5, 1, each also mirrored.' in card
  assert 'not validated' in card and 'at its original size' in card


@pytest.mark.slow
def test_scales_and_flips_are_exported(tmp_path):
  inference = color_model.inference()
  inference.multi_scale = multi_scale.MultiScaleSettings((0.5, 1.0), flip=True)
  folder = saved_model.export_saved_model(inference, str(tmp_path))
  rules = model_folders.read_model_json(folder)['input_rules']
  assert (rules['scales'], rules['flip']) == ([0.5, 1.0], True)
  image = color_model.scene()[0][np.newaxis]
  outputs = tf.saved_model.load(folder).signatures['heads'](
      image_tensor=tf.constant(image))
  single = color_model.inference()(tf.constant(image))
  for key, value in outputs.items():
    np.testing.assert_allclose(value, inference(tf.constant(image))[key],
                               atol=1e-5)
  assert not np.allclose(
      outputs['center_heatmap'], single['center_heatmap'], atol=1e-2)


@pytest.mark.long
@pytest.mark.parametrize('heads_stride', [4, 2])
def test_an_axial_deeplab_is_exported(tmp_path, heads_stride):
  """With real layers; the writer's own comparison has to hold."""
  branch = panoptic_decoder.BranchSettings(8, 4, 4, 8, 8)
  model = panoptic_deeplab.PanopticDeepLab(
      panoptic_deeplab.PanopticDeepLabSettings(
          settings_by_name.variant_settings(
              'axial_deeplab_s', width_multiplier=0.125, heads=2,
              blocks=(1, 1, 1, 1), span=9), branch, branch,
          heads_stride=heads_stride),
      color_model.SPEC.num_classes)
  model(tf.zeros([1, 33, 33, 3]))
  inference = panoptic_inference.PanopticInference(
      model, color_model.SPEC, color_model.MERGING)
  folder = saved_model.export_saved_model(inference, str(tmp_path))
  loaded = tf.saved_model.load(folder).signatures
  for shape in ((37, 90), (64, 33)):
    image = np.random.default_rng(0).integers(0, 256, [*shape, 3], np.uint8)
    outputs = loaded['heads'](image_tensor=image[np.newaxis])
    for key, value in outputs.items():
      np.testing.assert_allclose(
          value, inference(image[np.newaxis])[key], atol=1e-4)
  assert json.loads((tmp_path / '1' / 'model.json').read_text())
