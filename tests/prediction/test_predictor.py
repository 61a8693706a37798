"""One line of Python, or one command, from a model to segments."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

import axial_tf
from axial_tf import errors
from axial_tf.experiment import restore
from axial_tf.files import image_files
from axial_tf.inference import compiled_network, multi_scale
from axial_tf.layers import compilation
from axial_tf.prediction import predictor
from tests import color_model, tools
from tests.color_model import BALL


@pytest.fixture(scope='module')
def loaded(export_dir):
  return predictor.Predictor(export_dir)


def test_a_scene_becomes_segments(loaded):
  image, panoptic = color_model.scene()
  result = loaded(image)
  np.testing.assert_array_equal(result.panoptic_map, panoptic)
  assert [s.name for s in result.segments] == ['ground', 'sky', 'ball', 'ball']
  ball = result.segments[2]
  assert (ball.id, ball.category, ball.is_thing) == (BALL + 1, 37, True)
  assert (ball.area, ball.box) == (80, (8, 4, 16, 14))
  assert 0.9 < ball.score <= 1
  for segment in result.segments:
    assert segment.area == np.sum(result.panoptic_map == segment.id)
  assert result.picture.shape == image.shape
  assert result.picture.dtype == np.uint8
  assert loaded.spec == color_model.SPEC


def test_a_batch_equals_its_single_images(loaded):
  image, _ = color_model.scene()
  pictures = [image, image[:, ::-1], np.zeros_like(image)]
  for result, picture in zip(loaded.batch(pictures), pictures):
    alone = loaded(picture)
    assert result.segments == alone.segments
    np.testing.assert_array_equal(result.image, picture)
    np.testing.assert_array_equal(result.panoptic_map, alone.panoptic_map)
  with pytest.raises(errors.UserError, match='of one size, got 2'):
    loaded.batch([image, image[:9]])


def test_too_large_an_image_says_what_would_fit(loaded, monkeypatch):
  image, _ = color_model.scene()
  oom = tf.errors.ResourceExhaustedError(None, None, (
      'OOM when allocating tensor with shape[1,9000,9000,3] and type float on '
      '/job:localhost/replica:0/task:0/device:CPU:0 by allocator cpu'))

  def fail(images):
    raise oom

  inference = color_model.inference()
  inference.multi_scale = multi_scale.MultiScaleSettings((0.5, 2.0))
  monkeypatch.setattr(loaded, '_model', loaded._model._replace(
      predict=fail, inference=inference))
  with pytest.raises(errors.UserError, match=(
      r'the image: \d+x\d+ pixels do not fit into memory .out of memory on the '
      r'CPU, which has [\d.]+ GB .and needed 0.972 GB more..; shrink it, or '
      r'use fewer or smaller --scales than 0.5,2.0')):
    loaded(image)
  with pytest.raises(errors.UserError, match='fewer at a time .--batch_size'):
    loaded.batch([image, image])


def test_scales_and_flips_reach_the_model_of_a_run(
    export_dir, tmp_path, monkeypatch):
  (tmp_path / 'config.gin').write_text('')
  seen = []

  def load_inference(model_dir):
    del model_dir
    inference = color_model.inference()
    seen.append(inference)
    return inference

  monkeypatch.setattr(restore, 'load_inference', load_inference)
  image, panoptic = color_model.scene(scale=2)
  predict_mirrored = predictor.Predictor(tmp_path, scales=[0.5, 1], flip=True)
  assert (seen[0].multi_scale.scales, seen[0].multi_scale.flip) == (
      (0.5, 1), True)
  result = predict_mirrored(image)
  assert np.mean(result.panoptic_map == panoptic) > 0.9
  for arguments in ({'scales': [0.5]}, {'flip': True}):
    with pytest.raises(errors.UserError, match='is an export, whose scales'):
      predictor.Predictor(export_dir, **arguments)
  with pytest.raises(errors.UserError, match='scales'):
    predictor.Predictor(tmp_path, scales=[0])


def test_files_arrays_and_pillow_images_give_the_same(loaded, tmp_path):
  image, _ = color_model.scene()
  path = tmp_path / 'scene.png'
  Image.fromarray(image).save(path)
  expected = loaded(image)
  for other in (path, str(path), Image.fromarray(image)):
    result = loaded(other)
    assert result.segments == expected.segments


def test_the_highest_version_is_taken(export_dir, tmp_path):
  folder = tmp_path / 'export'
  (folder / '1').mkdir(parents=True)
  (folder / '1' / 'saved_model.pb').write_text('damaged')
  os.symlink(os.path.join(export_dir, '3'), folder / '3')
  assert predictor.Predictor(folder).spec == color_model.SPEC
  assert predictor.Predictor(folder / '3').spec == color_model.SPEC
  with pytest.raises(errors.UserError, match='export the model again'):
    predictor.Predictor(folder / '1')


def test_a_training_run_predicts_what_its_export_predicts(
    loaded, tmp_path, monkeypatch):
  (tmp_path / 'config.gin').write_text('')
  asked = []

  def load_inference(model_dir):
    asked.append(model_dir)
    return color_model.inference()

  monkeypatch.setattr(restore, 'load_inference', load_inference)
  from_run = predictor.Predictor(tmp_path)
  assert asked == [str(tmp_path)]
  image, _ = color_model.scene()
  assert from_run(image).segments == loaded(image).segments


@pytest.mark.slow
def test_a_network_of_a_run_is_compiled_on_request(
    export_dir, tmp_path, monkeypatch):
  (tmp_path / 'config.gin').write_text('')
  shapes, real = [], compiled_network.compiled

  def compiled(model):
    run = real(model)

    def call(images, **options):
      shapes.append(tuple(images.shape))
      return run(images, **options)

    return call

  monkeypatch.setattr(compiled_network, 'compiled', compiled)
  monkeypatch.setattr(compilation, 'PROGRAMS', 2)
  monkeypatch.setattr(
      restore, 'load_inference', lambda model_dir: color_model.inference())
  always, never = (
      predictor.Predictor(tmp_path, compile=mode) for mode in (
          'always', 'never'))
  for height in (24, 30, 24, 36):
    image, panoptic = color_model.scene(height=height)
    found, expected = always(image), never(image)
    assert found.segments == expected.segments
    np.testing.assert_array_equal(found.panoptic_map, panoptic)
  assert shapes == [(1, 24, 40, 3), (1, 30, 40, 3)]
  with pytest.raises(errors.UserError, match='is an export, which runs uncomp'):
    predictor.Predictor(export_dir, compile='always')
  with pytest.raises(errors.UserError, match="'always' or 'never', got 'xla'"):
    predictor.Predictor(tmp_path, compile='xla')


@pytest.mark.parametrize('make, word', [
    (lambda folder: folder / 'missing', 'no such folder'),
    (lambda folder: __file__, 'is a file; expected the folder'),
    (lambda folder: folder, 'holds no model')])
def test_folders_that_are_not_models_are_refused(tmp_path, make, word):
  with pytest.raises(errors.UserError, match=word):
    predictor.Predictor(make(tmp_path))


def _run(module, *arguments):
  return tools.run(f'axial_tf.{module}', *arguments)


def test_predict_segments_good_images_and_names_bad_ones(export_dir, tmp_path):
  image, panoptic = color_model.scene()
  source, output = tmp_path / 'in', tmp_path / 'out'
  for name in ('a/x.png', 'b/x.png'):
    (source / name).parent.mkdir(parents=True)
    Image.fromarray(image).save(source / name)
  (source / 'b' / 'bad.jpg').write_text('no image')
  done = _run('predict', f'--model={export_dir}', f'--input={source}',
              f'--output_dir={output}')
  assert done.returncode == 1
  assert 'Traceback' not in done.stderr
  assert done.stderr.splitlines()[-1].startswith('error: 1 of 3 images')
  assert 'bad.jpg' in done.stderr.splitlines()[-1]
  assert sorted(os.path.relpath(f, output) for f in output.glob('**/*.*')) == [
      f'{folder}/x{ending}' for folder in 'ab'
      for ending in ('.json', '_overlay.png', '_panoptic.png')]
  ids = np.asarray(Image.open(output / 'a' / 'x_panoptic.png')).astype(int)
  np.testing.assert_array_equal(ids @ [1, 256, 65536], panoptic)
  content = json.loads((output / 'b' / 'x.json').read_text())
  assert (content['height'], content['width']) == image.shape[:2]
  assert {s['id']: s['name'] for s in content['segments']}[BALL + 2] == 'ball'


@pytest.mark.slow
def test_predict_with_unusual_paths(export_dir, tmp_path):
  """A home folder, brackets, a name in Latin-1, a terminal of ASCII."""
  photos = tmp_path / 'photos [1]'
  results = photos / 'results'
  photos.mkdir()
  Image.fromarray(color_model.scene()[0]).save(photos / 'a.png')
  shutil.copy(photos / 'a.png', os.fsencode(photos) + b'/caf\xe9.png')
  (photos / 'fehlt\u00e9.png').symlink_to('/nowhere.png')
  done = subprocess.run(
      [sys.executable, '-m', 'axial_tf.predict', f'--model={export_dir}',
       '--input=~/photos [1]', '--output_dir=~/photos [1]/results'],
      capture_output=True, text=True, check=False,
      cwd=pathlib.Path(__file__).parents[2], env={
          **os.environ, 'HOME': str(tmp_path), 'LC_ALL': 'C',
          'PYTHONIOENCODING': 'ascii'})
  assert done.returncode == 1 and 'Traceback' not in done.stderr
  assert '2 images segmented' in done.stdout
  last = done.stderr.splitlines()[-1]
  assert last.startswith('error: 1 of 3 images') and 'fehlt\\xe9.png' in last
  assert sorted(os.listdir(os.fsencode(results))) == [
      name + ending for name in (b'a', b'caf\xe9')
      for ending in (b'.json', b'_overlay.png', b'_panoptic.png')]
  # The same command again takes the same images.
  assert len(image_files.find(str(photos), str(results))) == 3


def test_results_for_an_evaluator_score_100_against_themselves(
    export_dir, tmp_path):
  """Images of two sizes and orders go through batches into one JSON."""
  source = tmp_path / 'in'
  source.mkdir()
  for number, (height, step) in enumerate(
      [(24, 1), (30, 1), (24, -1), (30, -1), (24, 1)]):
    image, _ = color_model.scene(height=height)
    Image.fromarray(image[:, ::step]).save(source / f'{number:012d}.png')
  done = _run('predict', f'--model={export_dir}', f'--input={source}',
              f'--output_dir={tmp_path / "out"}', '--format=coco',
              '--batch_size=2')
  assert done.returncode == 0, done.stderr
  assert '5 images segmented' in done.stdout
  written = sorted(os.path.relpath(f, tmp_path / 'out')
                   for f in (tmp_path / 'out').glob('**/*.*'))
  assert written == ['detections.json', 'panoptic.json'] + [
      f'panoptic/{n:012d}.png' for n in range(5)]
  truth = json.loads((tmp_path / 'out' / 'panoptic.json').read_text())
  assert sorted(i['id'] for i in truth['images']) == [0, 1, 2, 3, 4]
  detections = json.loads((tmp_path / 'out' / 'detections.json').read_text())
  assert {d['category_id'] for d in detections} == {37}
  assert len(detections) == 10
  done = _run('evaluate', f'--predictions={tmp_path}/out/panoptic.json',
              f'--ground_truth={tmp_path}/out/panoptic.json',
              f'--json={tmp_path}/scores.json')
  assert done.returncode == 0, done.stderr
  scores = json.loads((tmp_path / 'scores.json').read_text())
  assert scores['pq']['all'] == {'pq': 1, 'sq': 1, 'rq': 1, 'n': 3}
  assert scores['ap']['ap'] == 1


@pytest.mark.parametrize('module, arguments, named', [
    ('predict', [], '--model'),
    ('predict', ['--model=/nowhere', '--input=setup.py', '--output_dir=/tmp'],
     '/nowhere'),
    ('predict', ['--model=a', '--input=setup.py', '--output_dir=/tmp/out',
                 '--scales=1,x'], '--scales: expected numbers'),
    ('predict', ['--model=a', '--input=setup.py', '--output_dir=/tmp/out',
                 '--pictures=map'], 'partitions, attention, got map'),
    ('predict', ['--model=a', '--input=setup.py', '--output_dir=/tmp/out',
                 '--layer=x'], '--layer needs the attention picture'),
    ('export', [], '--model_dir'),
    ('export', ['--model_dir=/nowhere', '--export_dir=/tmp/e'], '/nowhere'),
    ('export', ['--model_dir=/a', '--export_dir=/b', '--version=x'], "'x'")])
def test_mistakes_are_one_line_and_status_1(module, arguments, named):
  done = _run(module, *arguments)
  assert done.returncode == 1
  assert done.stderr.startswith('error: ') and named in done.stderr
  assert len(done.stderr.splitlines()) == 1


def test_a_training_without_records_is_one_line_and_leaves_nothing(tmp_path):
  done = _run('train', f'--model_dir={tmp_path}/run',
              '--gin_file=experiments/demo.gin',
              f"--gin_params=RECORDS='{tmp_path}/absent'")
  assert done.returncode == 1
  devices, error = done.stderr.splitlines()
  assert devices.startswith('devices: one_device, ')
  assert error.startswith('error: no files match')
  assert 'configurable' not in error
  assert not os.listdir(tmp_path)


@pytest.mark.parametrize('module', ['predict', 'export'])
def test_help_shows_an_example_without_loading_tensorflow(module):
  done = subprocess.run(
      [sys.executable, '-X', 'importtime', '-m', f'axial_tf.{module}',
       '--help'], capture_output=True, text=True, check=False)
  assert done.returncode == 0
  assert f'python -m axial_tf.{module} --model' in done.stdout
  assert 'tensorflow' not in done.stderr


def test_the_package_imports_fast_and_lists_its_names():
  program = ('import sys, axial_tf; assert "tensorflow" not in sys.modules; '
             'assert "numpy" not in sys.modules; print(axial_tf.__all__)')
  done = subprocess.run([sys.executable, '-c', program], capture_output=True,
                        text=True, check=False)
  assert 'Predictor' in done.stdout, done.stderr
  for name in set(axial_tf.__all__) - {'__version__'}:
    assert getattr(axial_tf, name).__name__ == name
  assert axial_tf.Predictor is predictor.Predictor
  assert set(axial_tf.__all__) <= set(dir(axial_tf))
  with pytest.raises(AttributeError, match='no attribute'):
    _ = axial_tf.Prediktor
