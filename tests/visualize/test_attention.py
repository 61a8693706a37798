"""Attention is drawn over the pixels that it comes from."""

import numpy as np
import pytest

from axial_tf import errors, visualize
from axial_tf.inference import attention_probe


def _attention(size, query, height_at, width_at, step):
  height, width = np.zeros(size[0]), np.zeros(size[1])
  height[height_at], width[width_at] = 1, 1
  return attention_probe.PixelAttention(
      height, width, np.outer(height, width), query, (step, step))


def _panels(picture, width):
  top = picture.shape[0] - 49
  return [picture[top:, i * (width + 4):i * (width + 4) + width].astype(int)
          for i in range(4)]


def test_each_panel_is_bright_where_its_attention_is():
  image = np.full([49, 65, 3], 100, np.uint8)
  # The map has 4 x 5 cells, 16 pixels apart.
  attention = _attention((4, 5), (2, 1), 0, 4, 16)
  panels = _panels(
      visualize.attention_pictures(image, attention, (32, 16)), 65)
  query, height, width, product = (
      np.unravel_index(p[..., 0].argmax(), p.shape[:2]) for p in panels)
  assert (height, width, product) == ((0, 16), (32, 64), (0, 64))
  for panel in panels:
    cross = (panel == (0, 255, 120)).all(-1)
    rows, columns = np.nonzero(cross)
    assert cross[32].any() and cross[:, 16].any()
    assert (rows.mean(), columns.mean()) == (32, 16)
    assert not cross[32, 16], 'the pixel itself stays free'
  unmarked = ~(panels[0] == (0, 255, 120)).all(-1) & (panels[0] != 0).all(-1)
  assert np.all(panels[0][unmarked] == 100), 'the image, as it is'


def test_wide_images_are_arranged_in_two_rows():
  image = np.full([60, 480, 3], 100, np.uint8)
  picture = visualize.attention_pictures(
      image, _attention((4, 31), (0, 0), 0, 0, 16), (0, 0))
  assert picture.shape[1] == 2 * 480 + 4 and picture.shape[0] > 2 * 60


def test_a_single_small_cell_is_seen_on_a_large_image():
  image = np.full([97, 1281, 3], 100, np.uint8)
  attention = _attention((49, 641), (20, 300), 40, 100, 2)
  picture = visualize.attention_pictures(image, attention, (40, 600))
  product = picture[-97:, -1281:, 0].astype(int)
  peak = np.unravel_index(product.argmax(), product.shape)
  assert peak == (80, 200) and product.max() > 200
  assert np.sum(product > 150) > 50, 'as large as an eye needs'


@pytest.mark.parametrize('wide', [False, True])
def test_even_attention_is_evenly_bright(wide):
  if wide:  # Cells smaller than what an eye sees, also at the borders.
    attention = attention_probe.PixelAttention(
        np.full(25, 0.04), np.full(201, 1 / 201),
        np.full([25, 201], 0.04 / 201), (0, 0), (2, 2))
    panel = visualize.attention_pictures(
        np.full([49, 401, 3], 100, np.uint8), attention, (0, 0))[-49:, -401:]
    assert len(np.unique(panel[20:, 20:].reshape(-1, 3), axis=0)) == 1
    return
  image = np.full([49, 65, 3], 100, np.uint8)
  product = np.full([4, 5], 0.05)
  attention = attention_probe.PixelAttention(
      np.full(4, 0.25), np.full(5, 0.2), product, (0, 0), (16, 16))
  panel = _panels(
      visualize.attention_pictures(image, attention, (0, 0)), 65)[3]
  assert len(np.unique(panel[20:, 20:].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize('shape', [(1, 1), (3, 200), (200, 3)])
@pytest.mark.parametrize('share', [0.0, 1.0])
def test_odd_sizes_and_no_attention_at_all(shape, share):
  attention = attention_probe.PixelAttention(
      np.full(2, share), np.full(2, share), np.full([2, 2], share), (0, 0),
      (16, 16))
  picture = visualize.attention_pictures(
      np.full([*shape, 3], 90, np.uint8), attention,
      (shape[0] - 1, shape[1] - 1))
  assert picture.dtype == np.uint8 and picture.shape[1] == 4 * shape[1] + 12


def test_an_image_is_needed():
  with pytest.raises(errors.UserError, match='expected a picture'):
    visualize.attention_pictures(
        np.zeros([4, 4]), _attention((1, 1), (0, 0), 0, 0, 1), (0, 0))
