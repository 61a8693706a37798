"""Apache Beam gives the predictor's results, on local and remote files."""

import json
import os

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.files import image_files
from axial_tf.prediction import beam as beam_prediction
from axial_tf.prediction import predicted_files, predictor
from tests import color_model

# A runner in this process, which prints nothing unless something is wrong.
_ARGUMENTS = ['--runner=DirectRunner', '--direct_num_workers=1']
_OVERLAY = predicted_files.Pictures(['overlay'])
_NOTHING = predicted_files.Pictures([])


def _jobs(files, output_dir):
  stems = image_files.output_stems(files)
  return [beam_prediction.Job(file, f'{output_dir}/{stems[file]}')
          for file in files]


@pytest.mark.slow
def test_results_are_those_of_the_predictor(export_dir, tmp_path):
  (tmp_path / 'in' / 'sub').mkdir(parents=True)
  for number, scale in enumerate((1, 2, 1)):
    Image.fromarray(color_model.scene(scale=scale)[0]).save(
        tmp_path / 'in' / 'sub' / f'{number}.png')
  (tmp_path / 'in' / 'broken.jpg').write_bytes(b'no image')
  files = image_files.find(str(tmp_path / 'in'))
  failed = beam_prediction.segment_all(
      export_dir, _jobs(files, tmp_path / 'out'), str(tmp_path / 'out'),
      batch_size=2, pictures=_OVERLAY, arguments=_ARGUMENTS)
  broken = str(tmp_path / 'in' / 'broken.jpg')
  assert list(failed) == [broken] and 'not an image' in failed[broken]

  direct = predictor.Predictor(export_dir)
  for file in sorted(set(files) - {broken}):
    result = direct(file)
    predicted_files.write_segments(result, str(tmp_path / 'expected'))
    predicted_files.write_pictures(
        _OVERLAY.draw(direct, result), str(tmp_path / 'expected'))
    name = file.rsplit('/', 1)[1][:-len('.png')]
    for ending in ('_panoptic.png', '.json', '_overlay.png'):
      written = (tmp_path / 'out' / 'sub' / f'{name}{ending}').read_bytes()
      assert written == (tmp_path / f'expected{ending}').read_bytes(), ending
  assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['sub']
  assert len(list((tmp_path / 'out' / 'sub').iterdir())) == 9


def test_tiles_are_those_of_the_predictor(export_dir, tmp_path):
  image = np.tile(color_model.scene()[0], [2, 2, 1])
  Image.fromarray(image).save(tmp_path / 'a.png')
  options = {'tile': 32, 'overlap': 16}
  assert not beam_prediction.segment_all(
      export_dir, _jobs([str(tmp_path / 'a.png')], tmp_path / 'out'),
      str(tmp_path / 'out'), batch_size=2, pictures=_NOTHING,
      arguments=_ARGUMENTS, **options)
  result = predictor.Predictor(export_dir, **options)(image)
  predicted_files.write_segments(result, str(tmp_path / 'expected'))
  for ending in ('_panoptic.png', '.json'):
    assert (tmp_path / 'out' / f'a{ending}').read_bytes() == (
        tmp_path / f'expected{ending}').read_bytes()
  with pytest.raises(errors.UserError, match='tile: expected a side'):
    beam_prediction.segment_all(
        export_dir, [], str(tmp_path), batch_size=1, pictures=_NOTHING,
        arguments=_ARGUMENTS, tile=3)


def test_remote_folders(export_dir):
  """ram:// stands for gs:// and the like."""
  image, panoptic = color_model.scene()
  with tf.io.gfile.GFile('ram://photos/in/scene.png', 'wb') as file:
    file.write(tf.io.encode_png(image).numpy())
  files = image_files.find('ram://photos/in/*.png')
  assert files == image_files.find('ram://photos/in')
  assert not beam_prediction.segment_all(
      export_dir, _jobs(files, 'ram://photos/out'), 'ram://photos/out',
      batch_size=1, pictures=_NOTHING, arguments=_ARGUMENTS)
  assert sorted(tf.io.gfile.listdir('ram://photos/out')) == [
      'scene.json', 'scene_panoptic.png']
  with tf.io.gfile.GFile('ram://photos/out/scene.json') as file:
    ids = {segment['id'] for segment in json.load(file)['segments']}
  assert ids == set(np.unique(panoptic))


def test_an_image_that_vanishes_is_named(export_dir, tmp_path):
  failed = beam_prediction.segment_all(
      export_dir, [beam_prediction.Job('/nowhere/x.png', str(tmp_path / 'x'))],
      str(tmp_path), batch_size=1, pictures=_NOTHING, arguments=_ARGUMENTS)
  assert '/nowhere/x.png: cannot be read' in failed['/nowhere/x.png']
  assert not list(tmp_path.iterdir())


def test_wrong_model_and_options(export_dir, tmp_path):
  with pytest.raises(errors.UserError, match='holds no model'):
    beam_prediction.segment_all(
        str(tmp_path), [], str(tmp_path / 'out'), batch_size=1,
        pictures=_NOTHING, arguments=_ARGUMENTS)
  assert not list(tmp_path.iterdir())
  with pytest.raises(errors.UserError, match='Beam does not accept'):
    beam_prediction.segment_all(
        export_dir, [], str(tmp_path), batch_size=1, pictures=_NOTHING,
        arguments=['--runner=NoRunner'])


def test_names_that_are_not_utf8(export_dir, tmp_path):
  (tmp_path / 'in').mkdir()
  for name in (b'caf\xe9.png', b'bad\xe9.png'):
    Image.fromarray(color_model.scene()[0]).save(
        tmp_path / 'in' / os.fsdecode(name))
  (tmp_path / 'in' / os.fsdecode(b'bad\xe9.png')).write_bytes(b'no image')
  failed = beam_prediction.segment_all(
      export_dir, _jobs(
          image_files.find(str(tmp_path / 'in')), tmp_path / 'out'),
      str(tmp_path / 'out'), batch_size=1, pictures=_NOTHING,
      arguments=_ARGUMENTS)
  assert list(failed) == [str(tmp_path / 'in') + '/bad\\xe9.png']
  assert sorted(os.listdir(os.fsencode(tmp_path / 'out'))) == [
      b'caf\xe9.json', b'caf\xe9_panoptic.png']
