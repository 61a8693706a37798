"""Pictures are combined, and files of them are written completely."""

import io
import os

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf import errors, visualize


def test_pictures_are_placed_side_by_side_below_their_titles():
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


def test_titles_grow_with_the_pictures_and_fit_the_narrowest():
  tall = np.zeros([1000, 300, 3], np.uint8)
  heights = [visualize.side_by_side(pictures, ['x', 'title']).shape[0] - 1000
             for pictures in ([tall, tall], [tall, tall[:, :30]])]
  assert heights[0] > 40 > heights[1]


def test_a_stack_is_as_wide_as_its_widest_picture():
  pictures = [
      np.full([2, 3, 3], 10, np.uint8), np.full([4, 7, 3], 20, np.uint8)]
  stacked = visualize.stack(pictures)
  assert stacked.shape == (6, 7, 3)
  np.testing.assert_array_equal(stacked[:2, :3], pictures[0])
  np.testing.assert_array_equal(stacked[2:], pictures[1])
  assert (stacked[:2, 3:] == 255).all()


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
    lambda: visualize.stack([]),
    lambda: visualize.side_by_side([]),
    lambda: visualize.side_by_side([np.zeros([2, 2, 3], np.uint8)], ['a', 'b']),
    lambda: visualize.save_png(np.zeros([2, 2]), io.BytesIO())])
def test_mistakes_are_refused(call):
  with pytest.raises(errors.UserError, match='expected'):
    call()
