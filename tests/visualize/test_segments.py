"""Pictures show the segments where and as they are."""

import numpy as np
import pytest

from axial_tf import errors, visualize
from axial_tf.specs import dataset_spec
from axial_tf.visualize import labels as labels_lib

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
def test_instances_are_distinguished_by_color(first):
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


def test_the_overlay_of_a_large_image_has_no_seams():
  """It is blended in strips."""
  image = np.full([3000, 1500, 3], 200, np.uint8)
  panoptic = np.full([3000, 1500], 101, np.int32)
  panoptic[:, ::2] = 0
  picture = visualize.panoptic_overlay(image, panoptic, _SPEC)
  np.testing.assert_array_equal(picture, np.broadcast_to(
      picture[:1], picture.shape))


def test_of_very_many_segments_only_the_largest_have_names(monkeypatch):
  image = np.full([60, 200, 3], 200, np.uint8)
  panoptic = np.zeros([60, 200], np.int32)
  panoptic[:, 120:] = 101
  plain = visualize.panoptic_overlay(image, panoptic, _SPEC)
  for limit, is_named in ((2, True), (1, False)):
    monkeypatch.setattr(labels_lib, '_NAMED', limit)
    named = visualize.panoptic_overlay(image, panoptic, _SPEC, labels=True)
    assert np.any(plain[:, :120] != named[:, :120])
    assert np.any(plain[:, 120:] != named[:, 120:]) == is_named


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


def _text(panoptic, brightness=90):
  """Pixels that the names change, and the picture with them."""
  image = np.full([*panoptic.shape, 3], brightness, np.uint8)
  bare, labeled = (
      visualize.panoptic_overlay(
          image, panoptic, _SPEC, opacity=0.5, labels=labels)
      for labels in (False, True))
  return (bare != labeled).any(-1), labeled


def test_a_small_thing_has_its_whole_name_on_it():
  """As wide as a digit of the demo; stuff of this width stays bare."""
  panoptic = np.full([120, 160], _VOID, np.int32)
  panoptic[50:70, 90:102] = 101
  thing, _ = _text(panoptic)
  rows, columns = np.nonzero(thing)
  assert abs(rows.mean() - 60) < 5 and abs(columns.mean() - 96) < 3
  assert np.ptp(columns) > 12, 'it stands out'
  panoptic[panoptic == 101] = 0
  assert not _text(panoptic)[0].any()


def test_a_thing_at_the_border_has_its_name_inside():
  for corner in ((0, 0), (104, 0), (0, 148), (104, 148)):
    panoptic = np.full([120, 160], _VOID, np.int32)
    panoptic[corner[0]:corner[0] + 16, corner[1]:corner[1] + 12] = 101
    changed, _ = _text(panoptic)
    rows, columns = np.nonzero(changed)
    alone = np.full([120, 160], _VOID, np.int32)
    alone[50:66, 70:82] = 101
    assert changed.sum() == _text(alone)[0].sum(), 'nothing is cut off'
    assert abs(rows.mean() - corner[0] - 8) < 8
    assert abs(columns.mean() - corner[1] - 6) < 8


def test_the_largest_is_named_first_and_no_name_covers_another():
  panoptic = np.full([60, 80], _VOID, np.int32)
  panoptic[20:40, 30:44] = 101
  only, _ = _text(panoptic)
  panoptic[22:38, 44:56] = 102  # Too near for a second name, and smaller.
  both, _ = _text(panoptic)
  np.testing.assert_array_equal(only, both)
  panoptic[panoptic == 102] = _VOID
  panoptic[45:58, 44:56] = 102
  assert _text(panoptic)[0].sum() == 2 * only.sum()


@pytest.mark.parametrize('brightness', [0, 255])
def test_names_have_light_and_dark_pixels_on_any_image(brightness):
  panoptic = np.full([120, 160], _VOID, np.int32)
  panoptic[50:70, 90:102] = 201
  changed, labeled = _text(panoptic, brightness)
  luminance = labeled[changed].mean(-1)
  assert luminance.max() > 220 and luminance.min() < 60


def test_the_legend_names_categories_by_area_in_the_width_given():
  panoptic = np.array([[0, 0, 0, 101, 102, _VOID]])
  wide = visualize.legend(panoptic, _SPEC, 300)
  narrow = visualize.legend(panoptic, _SPEC, 60)
  assert wide.shape[1] == 300 and narrow.shape[1] == 60
  assert narrow.shape[0] > wide.shape[0], 'entries flow into a second row'
  row = [tuple(color) for color in wide[wide.shape[0] // 2].tolist()]
  assert row.index((128, 64, 128)) < row.index((0, 0, 142))


def _many_classes(count):
  return dataset_spec.DatasetSpec(
      name='many', label_divisor=100, ignore_label=255, categories=tuple(
          dataset_spec.Category(
              i + 1, i, f'some kind of thing {i}', False, (i, 255 - i, 10))
          for i in range(count)))


@pytest.mark.parametrize('width', [10, 200, 3000])
def test_a_legend_of_many_classes_shows_all_of_them_unclipped(width):
  spec = _many_classes(150)
  strip = visualize.legend(np.arange(150)[np.newaxis] * 100, spec, width)
  colors = {tuple(c) for c in np.unique(
      strip[::2, ::2].reshape(-1, 3), axis=0).tolist()}
  assert {c.color for c in spec.categories} <= colors
  assert (strip[:, -1] == 255).all(), 'nothing runs out at the right'
  assert (strip[-1] == 255).all(), 'nor at the bottom'


def test_labels_end_inside_the_picture():
  """Segments at the edges are named whole, or not at all."""
  for height in range(3, 60):
    picture = visualize.panoptic_overlay(
        np.zeros([height, 200, 3], np.uint8),
        np.full([height, 200], 101, np.int32), _SPEC, opacity=0, labels=True)
    assert not picture[[0, -1]].any() and not picture[:, [0, -1]].any()
  assert picture.any()


@pytest.mark.parametrize('side, thickness', [(20, 1), (699, 1), (1500, 3)])
def test_borders_grow_with_the_picture(side, thickness):
  panoptic = np.zeros([side, side], np.int32)
  panoptic[:, side // 2:] = 101
  picture = visualize.panoptic_overlay(
      np.full([side, side, 3], 200, np.uint8), panoptic, _SPEC)
  dark = (picture[0].astype(int) < picture[0, 0] * 0.5).all(-1)
  assert np.flatnonzero(dark).tolist() == list(
      range(side // 2 - thickness, side // 2))


@pytest.mark.parametrize('call', [
    lambda: visualize.panoptic_overlay(
        np.zeros([2, 2, 3], np.uint8), np.zeros([2, 3], np.int32), _SPEC),
    lambda: visualize.panoptic_overlay(
        np.zeros([2, 2, 3]), np.zeros([2, 2], np.int32), _SPEC),
    lambda: visualize.panoptic_colors(np.array([[700]]), _SPEC)])
def test_mistakes_are_refused(call):
  with pytest.raises(errors.UserError, match='expected'):
    call()
