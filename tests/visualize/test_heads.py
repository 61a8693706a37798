"""Heatmaps and offsets are drawn at their place and with their hue."""

import colorsys

import numpy as np
import pytest

from axial_tf import errors, visualize


def _grey(height, width):
  return np.full([height, width, 3], 120, np.uint8)


def _hue(color):
  return 360 * colorsys.rgb_to_hsv(*(np.asarray(color) / 255.0))[0]


def _toward(height, width, y, x):
  rows, columns = np.mgrid[:height, :width]
  return np.stack([y - rows, x - columns], -1).astype(np.float32)


def test_heat_grows_with_the_value_and_zero_is_darkened():
  values = np.tile(np.linspace(0, 1, 80, dtype=np.float32), [10, 1])
  picture = visualize.center_heatmap(_grey(10, 80), values)
  brightness = picture[0].astype(int).sum(-1)
  assert tuple(picture[0, 0]) == (66, 66, 66), 'the darkened image'
  assert brightness[-1] > brightness[40] > brightness[20]
  assert brightness.argmax() == 79
  assert picture.shape[0] > 10 and picture.shape[1] == 80


def test_values_outside_the_scale_look_like_its_ends():
  values = np.float32([[-3, 0, 1, 7]] * 4)
  picture = visualize.center_heatmap(_grey(4, 4), values)
  np.testing.assert_array_equal(picture[:4, 0], picture[:4, 1])
  np.testing.assert_array_equal(picture[:4, 2], picture[:4, 3])


@pytest.mark.parametrize('pixel', [
    (0, 0), (0, 30), (0, 60), (20, 0), (20, 60), (40, 0), (40, 30), (40, 60)])
def test_the_hue_is_the_direction_to_the_center_also_at_the_borders(pixel):
  offset = _toward(41, 61, 20, 30)
  picture = visualize.offset_wheel(_grey(41, 61), offset)
  y, x = offset[pixel]
  expected = np.degrees(np.arctan2(y, x)) % 360
  difference = (_hue(picture[pixel]) - expected + 180) % 360 - 180
  assert abs(difference) < 2
  assert tuple(picture[20, 30]) == (255, 255, 255), 'the center itself'


def test_the_wheel_shows_the_hue_that_a_pixel_in_that_direction_has():
  offset = np.zeros([2, 400, 2], np.float32)
  for column, vector in enumerate([(0, 9), (9, 0), (0, -9), (-9, 0)]):
    offset[:, 100 * column:100 * (column + 1)] = vector
  picture = visualize.offset_wheel(_grey(2, 400), offset)
  wheel = picture[2 + 4:2 + 4 + 45, 6:6 + 45]
  for column, place in enumerate([(22, 42), (42, 22), (22, 2), (2, 22)]):
    pixel = _hue(picture[0, 100 * column + 5])
    assert abs((_hue(wheel[place]) - pixel + 180) % 360 - 180) < 2


def test_far_centers_have_strong_colors():
  offset = np.zeros([1, 100, 2], np.float32)
  offset[0, :, 1] = np.arange(100)
  saturation = [colorsys.rgb_to_hsv(*(c / 255.0))[1]
                for c in visualize.offset_wheel(_grey(1, 100), offset)[0, :100]]
  assert np.all(np.diff(saturation) >= 0)
  assert saturation[0] == 0 and saturation[-1] == 1


def test_outside_of_things_the_image_is_grey():
  mask = np.zeros([30, 200], bool)
  mask[:, 100:] = True
  picture = visualize.offset_wheel(
      _grey(30, 200), _toward(30, 200, 15, 150), mask)
  assert np.all(picture[:30, :100] == 66)
  assert np.ptp(picture[0, 199].astype(int)) > 50


@pytest.mark.parametrize('shape', [(1, 1), (3, 200), (200, 3), (40, 40)])
@pytest.mark.parametrize('value', [0, np.nan, np.inf, 1e30])
@pytest.mark.parametrize('things', [True, False])
def test_odd_offsets_and_sizes_are_drawn_without_warnings(
    shape, value, things):
  offset = np.full([*shape, 2], value, np.float32)
  with np.errstate(all='raise', under='ignore'):
    picture = visualize.offset_wheel(
        _grey(*shape), offset, np.full(shape, things))
    heat = visualize.center_heatmap(
        _grey(*shape), np.zeros(shape, np.float32))
  seen = picture[:shape[0], :shape[1]]
  assert picture.dtype == heat.dtype == np.uint8
  if not things or not np.isfinite(value):
    assert np.all(seen == 66)
  elif value == 0:
    assert np.all(seen == 255), 'no distance, no direction'


@pytest.mark.parametrize('call', [
    lambda: visualize.center_heatmap(_grey(3, 4), np.zeros([4, 3])),
    lambda: visualize.offset_wheel(_grey(3, 4), np.zeros([3, 5, 2])),
    lambda: visualize.offset_wheel(
        _grey(3, 4), np.zeros([3, 4, 2]), np.ones([4, 3], bool))])
def test_other_sizes_are_refused(call):
  with pytest.raises(errors.UserError, match='of the image'):
    call()
