"""Pictures show the segments where and as they are."""

import io
import os

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors, visualize
from axial_tf.data import dataset_spec

_SPEC = dataset_spec.DatasetSpec(
    name='test', label_divisor=100, ignore_label=9, categories=(
        dataset_spec.Category(1, 0, 'road', False, (128, 64, 128)),
        dataset_spec.Category(2, 1, 'car', True, (0, 0, 142)),
        dataset_spec.Category(3, 2, 'snow', True, (250, 250, 250))))
_VOID = _SPEC.void_label


def _colors(*labels):
  picture = visualize.panoptic_colors(np.array([labels]), _SPEC)
  return [tuple(color) for color in picture[0].tolist()]


def test_stuff_and_crowd_have_their_category_color_and_void_is_black():
  assert _colors(0, 100, _VOID) == [(128, 64, 128), (0, 0, 142), (0, 0, 0)]


@pytest.mark.parametrize('first', [101, 201])
def test_instances_are_told_apart_by_color(first):
  colors = np.array(_colors(*range(first, first + 12)), float)
  assert len(np.unique(colors, axis=0)) == 12
  # Neighbors in number, which often are neighbors in the image, differ most.
  assert np.linalg.norm(np.diff(colors, axis=0), axis=1).min() > 25


def test_an_instance_keeps_its_color_in_every_picture():
  assert _colors(101, 102)[1] == _colors(0, 102)[1]


def test_the_overlay_mixes_image_and_color_and_leaves_void_bare():
  image = np.full([9, 9, 3], 200, np.uint8)
  panoptic = np.zeros([9, 9], np.int32)
  panoptic[:, 5:] = _VOID
  picture = visualize.panoptic_overlay(image, panoptic, _SPEC, opacity=0.5)
  assert tuple(picture[0, 0]) == (164, 132, 164)
  assert tuple(picture[0, 8]) == (200, 200, 200)
  border = picture[:, 4].astype(int)
  assert np.all(border < picture[:, 0] * 0.5), 'a dark line between segments'
  assert picture.dtype == np.uint8 and image[0, 0, 0] == 200


def test_labels_are_written_only_where_they_fit():
  image = np.full([60, 120, 3], 90, np.uint8)
  panoptic = np.zeros([60, 120], np.int32)
  panoptic[:, 60:] = 101
  panoptic[20:24, 10:16] = 102
  bare = visualize.panoptic_overlay(image, panoptic, _SPEC)
  labeled = visualize.panoptic_overlay(image, panoptic, _SPEC, labels=True)
  changed = (bare != labeled).any(-1)
  assert changed[:, :60].any() and changed[:, 60:].any()
  assert not changed[18:26, 8:18].any(), 'no text on the small car'


@pytest.mark.parametrize('shape', [(1, 1), (1, 50), (50, 1)])
def test_tiny_images_have_overlays(shape):
  image = np.zeros([*shape, 3], np.uint8)
  picture = visualize.panoptic_overlay(
      image, np.zeros(shape, np.int32), _SPEC, labels=True)
  assert picture.shape == (*shape, 3)


def test_the_legend_names_categories_by_area_in_the_width_given():
  panoptic = np.array([[0, 0, 0, 101, 102, _VOID]])
  wide = visualize.legend(panoptic, _SPEC, 300)
  narrow = visualize.legend(panoptic, _SPEC, 60)
  assert wide.shape[1] == 300 and narrow.shape[1] == 60
  assert narrow.shape[0] > wide.shape[0], 'entries flow into a second row'
  row = [tuple(color) for color in wide[wide.shape[0] // 2].tolist()]
  assert row.index((128, 64, 128)) < row.index((0, 0, 142))


def test_pictures_stand_side_by_side_below_their_titles():
  pictures = [np.full([20, 40, 3], 10, np.uint8),
              np.full([30, 50, 3], 60, np.uint8)]
  panel = visualize.side_by_side(pictures, ['image', 'prediction'])
  bare = visualize.side_by_side(pictures)
  assert bare.shape == (30, 94, 3)
  top = panel.shape[0] - 30
  assert top > 0 and (panel[:top] < 100).any(), 'titles'
  np.testing.assert_array_equal(panel[top:], bare)
  assert np.all(bare[:20, :40] == 10) and np.all(bare[:, 44:] == 60)
  assert np.all(bare[20:, :44] == 255)
  assert visualize.side_by_side(pictures[:1], ['one']).shape[1] == 40


def test_png_files_are_exact(tmp_path):
  image = np.random.default_rng(0).integers(0, 256, [5, 7, 3], np.uint8)
  path = tmp_path / 'new' / 'a.png'
  visualize.save_png(image, str(path))
  visualize.save_png(image[::-1], path)
  np.testing.assert_array_equal(Image.open(path), image[::-1])
  assert os.listdir(tmp_path / 'new') == ['a.png']


def test_a_failing_write_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch):
  image = np.zeros([5, 7, 3], np.uint8)
  path = tmp_path / 'a.png'
  visualize.save_png(image, path)
  before = path.read_bytes()

  def full(*arguments, **options):
    raise tf.errors.ResourceExhaustedError(
        None, None, 'No space left on device')

  monkeypatch.setattr(tf.io.gfile, 'rename', full)
  with pytest.raises(errors.UserError, match='No space left'):
    visualize.save_png(image + 1, path)
  assert path.read_bytes() == before
  assert os.listdir(tmp_path) == ['a.png']


@pytest.mark.parametrize('call', [
    lambda: visualize.panoptic_overlay(
        np.zeros([2, 2, 3], np.uint8), np.zeros([2, 3], np.int32), _SPEC),
    lambda: visualize.panoptic_overlay(
        np.zeros([2, 2, 3]), np.zeros([2, 2], np.int32), _SPEC),
    lambda: visualize.panoptic_colors(np.array([[700]]), _SPEC),
    lambda: visualize.side_by_side([]),
    lambda: visualize.side_by_side([np.zeros([2, 2, 3], np.uint8)], ['a', 'b']),
    lambda: visualize.save_png(np.zeros([2, 2]), io.BytesIO())])
def test_mistakes_are_refused(call):
  with pytest.raises(errors.UserError, match='expected'):
    call()
