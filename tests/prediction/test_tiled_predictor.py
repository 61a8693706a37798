"""Models, files and commands segment large images in tiles."""

import dataclasses
import json
import os

import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from axial_tf.experiment import restore
from axial_tf.panoptic import label_png
from axial_tf.panoptic.deeperlab import decoding_settings
from axial_tf.panoptic.ssap import cascade_settings
from axial_tf.prediction import predictor
from tests import color_model, tools
from tests.color_model import BALL, SKY, SPEC

_OPTIONS = {'tile': 32, 'overlap': 16}


def _mural(rows=3, columns=3, height=72, width=113):
  """Scenes side by side, cut to a size that no tile divides."""
  image, panoptic = color_model.scene()
  parts = [
      np.where(panoptic > BALL, panoptic + 2 * number, panoptic)
      * (panoptic < SKY) + SKY * (panoptic == SKY)
      for number in range(rows * columns)]
  truth = np.block([parts[columns * row:columns * (row + 1)]
                    for row in range(rows)])
  return (np.tile(image, [rows, columns, 1])[:height, :width],
          truth[:height, :width])


def _of_run(inference, folder, monkeypatch, **options):
  (folder / 'config.gin').write_text('')
  monkeypatch.setattr(restore, 'load_inference', lambda _: inference)
  return predictor.Predictor(folder, **options)


@pytest.fixture(scope='module')
def tiled(export_dir):
  return predictor.Predictor(export_dir, **_OPTIONS)


def test_a_large_image_becomes_segments(tiled):
  image, truth = _mural()
  result = tiled(image)
  assert np.array_equal(result.panoptic_map == SKY, truth == SKY)
  things = [s for s in result.segments if s.is_thing]
  assert len(things) == 18 and {s.area for s in things} <= {80, 24}
  for thing in things:
    mask = result.panoptic_map == thing.id
    assert np.array_equal(mask, truth == truth[mask][0])
    assert 0.9 < thing.score <= 1
  np.testing.assert_array_equal(result.image, image)


def test_images_no_larger_than_a_tile_are_run_as_a_whole(
    export_dir, tiled, monkeypatch):
  image, _ = color_model.scene()
  image = image[:, :32]
  monkeypatch.setattr(tiled, '_in_tiles', None)
  expected = predictor.Predictor(export_dir)(image)
  for result in (tiled(image), *tiled.batch([image, image])):
    assert result.segments == expected.segments
    np.testing.assert_array_equal(result.panoptic_map, expected.panoptic_map)


def test_small_stuff_of_a_tile_is_kept_by_a_run_if_the_image_has_enough(
    tmp_path, monkeypatch):
  inference = color_model.inference()
  inference.merging = dataclasses.replace(
      inference.merging, stuff_area_limit=600)
  run = _of_run(inference, tmp_path, monkeypatch, **_OPTIONS)
  for rows, label in ((8, SKY), (6, SPEC.void_label)):
    image = np.zeros([32, 96, 3], np.uint8)
    image[:rows] = 0, 0, 255
    assert np.all(run(image).panoptic_map[:rows] == label)
  # A whole image follows the same rule.
  assert np.all(run(image[:, :32]).panoptic_map[:6] == SPEC.void_label)


@pytest.mark.parametrize('settings', [
    decoding_settings.DeeperLabDecodingSettings(stuff_area_limit=600),
    cascade_settings.CascadeSettings(stuff_area_limit=600)])
def test_small_stuff_is_kept_in_tiles_of_all_kinds_of_networks(
    settings, tmp_path, monkeypatch):
  inference = color_model.inference()
  run = _of_run(inference, tmp_path, monkeypatch, **_OPTIONS)
  inference.merging = settings  # The tiles stay those of the color model.
  for rows, label in ((8, SKY), (6, SPEC.void_label)):
    image = np.zeros([32, 96, 3], np.uint8)
    image[:rows] = 0, 0, 255
    assert np.all(run(image).panoptic_map[:rows] == label)
  assert inference.without_stuff_limit().merging.stuff_area_limit == 0


@pytest.mark.parametrize('max_long_side, enlarge, tile, words', [
    (40, False, 41, r'shrinks images to .* 40 pixels .*at most 40 .*, got 41'),
    (40, True, 39, r'resizes images to .* expected tiles of 40 pixels, got 39'),
    (40, True, 41, 'got 41')])
def test_tiles_that_the_model_would_resize_are_refused(
    max_long_side, enlarge, tile, words, tmp_path, monkeypatch):
  inference = color_model.inference(max_long_side, enlarge)
  with pytest.raises(errors.UserError, match=words):
    _of_run(inference, tmp_path, monkeypatch, tile=tile)
  with pytest.raises(errors.UserError, match='belongs to tiles'):
    predictor.Predictor(tmp_path, overlap=3)


def test_tiles_of_a_model_with_a_size(tmp_path, monkeypatch):
  image, truth = _mural()
  model = _of_run(
      color_model.inference(40, enlarge=True), tmp_path, monkeypatch, tile=40,
      overlap=16)
  result = model(image)
  assert np.array_equal(result.panoptic_map == SKY, truth == SKY)
  assert len(result.things()) == 18


def test_tiles_too_large_for_the_memory_are_one_line(tiled, monkeypatch):
  def fail(images):
    raise MemoryError

  monkeypatch.setattr(
      tiled, '_of_tiles', tiled._of_tiles._replace(predict=fail))
  with pytest.raises(errors.UserError, match=(
      r'a tile: 32x32 pixels do not fit .*; shrink it, or use smaller tiles')):
    tiled(_mural()[0])


def test_results_too_large_for_the_memory_are_one_line(
    export_dir, tmp_path, monkeypatch):
  def fail(ids):
    raise MemoryError

  monkeypatch.setattr(label_png, 'encode', fail)
  assert 'demo.png: its results do not fit into memory' in tools.refused(
      'axial_tf.predict', f'--model={export_dir}', '--input=docs/demo.png',
      f'--output_dir={tmp_path}', '--tile=256', '--pictures=')
  assert not _files(tmp_path)


def _files(folder):
  return sorted(os.path.relpath(path, folder)
                for path in folder.rglob('*') if path.is_file())


def test_the_command_segments_files_of_all_sizes(export_dir, tmp_path):
  source, output = tmp_path / 'in', tmp_path / 'out'
  source.mkdir()
  mural, truth = _mural()
  images = {'large': mural, 'small': mural[:24, :32], 'wide': mural[:20],
            'same': mural[:24, :32], 'again': mural}
  for name, image in images.items():
    Image.fromarray(image).save(source / f'{name}.png')
  tools.succeeds(
      'axial_tf.predict', f'--model={export_dir}', f'--input={source}',
      f'--output_dir={output}', '--tile=32', '--overlap=16', '--batch_size=2')
  assert _files(output) == sorted(
      name + ending for name in images
      for ending in ('.json', '_overlay.png', '_panoptic.png'))
  ids = np.asarray(Image.open(output / 'large_panoptic.png')) @ [1, 256, 65536]
  content = json.loads((output / 'large.json').read_text())
  assert content['label_divisor'] == 100
  assert {s['id'] for s in content['segments']} == set(np.unique(ids))
  assert len(content['segments']) == np.unique(truth).size
  assert (output / 'again_panoptic.png').read_bytes() == (
      output / 'large_panoptic.png').read_bytes()


def test_results_for_an_evaluator_score_100_against_themselves(
    export_dir, tmp_path):
  Image.fromarray(_mural()[0]).save(tmp_path / '1.png')
  done = tools.succeeds(
      'axial_tf.predict', f'--model={export_dir}', f'--input={tmp_path}/1.png',
      f'--output_dir={tmp_path}/out', '--format=coco', '--tile=32',
      '--overlap=16')
  assert '1 images segmented' in done.stdout
  tools.succeeds(
      'axial_tf.evaluate', f'--predictions={tmp_path}/out/panoptic.json',
      f'--ground_truth={tmp_path}/out/panoptic.json',
      f'--json={tmp_path}/scores.json')
  scores = json.loads((tmp_path / 'scores.json').read_text())
  assert scores['pq']['all'] == {'pq': 1, 'sq': 1, 'rq': 1, 'n': 3}
  assert scores['ap']['ap'] == 1


@pytest.mark.parametrize('arguments, words', [
    (['--tile=8'], 'tile: expected a side of at least 32 pixels'),
    (['--tile=64', '--overlap=64'], 'overlap: expected 1 to 32 pixels'),
    (['--overlap=64'], 'overlap: belongs to tiles'),
    (['--tile=32', '--pictures=overlay,heatmap'], '--pictures: heatmap shows'),
    (['--tile=32', '--pictures=attention'], '--pictures: attention shows')])
def test_mistakes_are_one_line(arguments, words, export_dir, tmp_path):
  assert words in tools.refused(
      'axial_tf.predict', f'--model={export_dir}', '--input=docs/demo.png',
      f'--output_dir={tmp_path}/out', *arguments)
  assert not _files(tmp_path)
