"""The page's requests are answered, and mistakes become messages."""

import io
import json

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.app import segmentation, segmentation_viewer, uploads
from axial_tf.files import images
from axial_tf.prediction import predicted_files, predictor
from tests import color_model
from tests.app import bad_pictures

_SCENE, _MAP = color_model.scene()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pictures')
  (folder / 'a <b>.png').write_bytes(images.png_bytes(_SCENE))
  for name, (content, _) in bad_pictures.BAD.items():
    (folder / name).write_bytes(content)
  return folder


@pytest.fixture(scope='module')
def viewer(export_dir, folder):
  return segmentation_viewer.SegmentationViewer(
      segmentation.Segmentation(export_dir),
      uploads.Uploads(str(folder), 10_000), 10 ** 6)


def _choices(**changed):
  own = color_model.MERGING
  return segmentation_viewer.Choices((1.0,), False, own.center_threshold,
                                     own.nms_kernel, own.stuff_area_limit
                                     )._replace(**changed)


@pytest.fixture(scope='module')
def shown(viewer, folder):
  return viewer.open(str(folder / 'a <b>.png'), _choices())


def test_a_picture_is_shown_with_legend_and_table(shown):
  assert 'a &lt;b&gt;.png: 40 x 24 pixels, 4 segments' in shown.message
  assert shown.picture.shape == (24 * 18, 40 * 18, 3)
  assert [row[:4] for row in shown.rows[:2]] == [
      ['ground', 'stuff', shown.rows[0][2], 560], [
          'sky', 'stuff', shown.rows[1][2], 240]]
  assert shown.rows[2][4:8] == [8, 4, 16, 14]
  legend = shown.legend
  assert legend.index('ground') < legend.index('sky') < legend.index('ball')
  assert 'background:#dc3c28' in legend and '16.7&nbsp;%' in legend
  assert 'void' not in legend


def test_settings_act_without_the_network(viewer, shown, monkeypatch):
  def analyze(*_):
    raise AssertionError('the network ran again')

  monkeypatch.setattr(viewer.model, 'analyze', analyze)
  merged = viewer.merge(shown.key, _choices(limit=300))
  assert 'network not run again' in merged.message and len(merged.rows) == 3
  assert '25.0&nbsp;%' in merged.legend and 'void' in merged.legend
  table = json.loads(viewer.file(shown.key, 'table').content)
  assert len(table['segments']) == 3
  assert 'nms_kernel: expected an odd number' in viewer.merge(
      shown.key, _choices(window=4)).message
  back = viewer.merge(shown.key, _choices())
  assert (back.rows, back.legend) == (shown.rows, shown.legend)


def test_the_picture_shows_what_is_chosen(viewer, shown):
  pictures = {
      which: viewer.merge(shown.key, _choices(picture=which)).picture
      for which in viewer.pictures}
  assert set(pictures) == {'segments', 'image', 'heatmap', 'offsets'}
  assert len({picture.tobytes() for picture in pictures.values()}) == 4
  np.testing.assert_array_equal(pictures['image'][::18, ::18], _SCENE)
  assert 'got mirror' in viewer.merge(
      shown.key, _choices(picture='mirror')).message


def test_files_are_those_of_predict(viewer, shown, export_dir, tmp_path):
  result = predictor.Predictor(export_dir)(_SCENE)
  predicted_files.write_segments(result, str(tmp_path / 'a <b>'))
  drawn = predicted_files.Pictures(['overlay']).draw(None, result)
  for which, name in (('segments', 'a <b>_panoptic.png'),
                      ('table', 'a <b>.json')):
    made = viewer.file(shown.key, which)
    assert made.name == name
    assert made.content == (tmp_path / name).read_bytes()
  made = viewer.file(shown.key, 'picture')
  assert made.name == 'a <b>_overlay.png'
  np.testing.assert_array_equal(
      np.asarray(Image.open(io.BytesIO(made.content))), drawn['overlay'])
  assert made.headers['Content-Disposition'].endswith(
      "''a%20%3Cb%3E_overlay.png")
  for key, which in ((shown.key, 'secret'), ('guess', 'table')):
    with pytest.raises(errors.UserError):
      viewer.file(key, which)


@pytest.mark.parametrize('name', bad_pictures.BAD)
def test_what_is_wrong_is_said_and_the_last_picture_is_gone(
    viewer, folder, name):
  before = viewer.open(str(folder / 'a <b>.png'), _choices())
  wrong = viewer.open(str(folder / name), _choices(), before.key)
  assert f'{name}: {bad_pictures.BAD[name][1]}' in wrong.message
  assert wrong[2:] == (None, '', '', ()) and not wrong.key
  assert 'no longer kept' in viewer.merge(before.key, _choices()).message


def test_no_picture_shows_nothing(viewer, folder):
  before = viewer.open(str(folder / 'a <b>.png'), _choices())
  assert viewer.open(None, _choices(), before.key)[:3] == ('', '', None)
  assert viewer.merge('', _choices())[:3] == ('', '', None)
  message, picture = viewer.attention('', 0, 0, None, segmentation_viewer.MEAN)
  assert 'drop one on the page' in message and picture is None


def test_memory_that_does_not_suffice_is_said(viewer, folder, monkeypatch):
  def fail(*_):
    raise tf.errors.ResourceExhaustedError(
        None, None, 'OOM when allocating tensor on device:CPU:0')

  monkeypatch.setattr(
      viewer.model, '_model', viewer.model._model._replace(heads=fail))
  viewer.model._with_views.cache_clear()
  wrong = viewer.open(str(folder / 'a <b>.png'), _choices())
  assert '40x24 pixels do not fit into memory' in wrong.message
  viewer.model._with_views.cache_clear()


def test_a_click_is_the_pixel_under_it(viewer, shown):
  assert viewer.pixel(shown.key, 18 * 5 + 3, 18 * 39 + 17) == (5, 39)
  assert viewer.pixel(shown.key, 9999, 9999) == (23, 39)
  assert viewer.pixel('', 5, 5) == (0, 0)
