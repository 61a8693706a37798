"""Lists and fractions: nothing lost, groups whole, stable under additions."""

import json
import types

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from axial_tf import errors
from data_prep.readers import coco, infer_spec, selection, splits


def _images(*names):
  return [types.SimpleNamespace(filename=name) for name in names]


def _names(images):
  return [image.filename for image in images]


_FILMS = _images(*(f'{film}_{frame}.jpg'
                   for film in range(40) for frame in range(3)))


def test_all_by_default():
  assert selection.Selection().select(_FILMS, 'x') == _FILMS


def test_data_that_nothing_divides_are_taken_whole_and_a_line_says_so(
    capsys, tmp_path):
  source = tmp_path / 'result.json'
  assert selection.Selection().select(_FILMS, 'val', source) == _FILMS
  assert capsys.readouterr().out == (
      f'{source}: all its 120 images are taken for val; --val_fraction or '
      f'--file_list takes a part\n')
  listed = tmp_path / 'names.txt'
  listed.write_text('3_0.jpg\n')
  for chosen in (selection.Selection(val_fraction=0.5),
                 selection.Selection(file_list=str(listed))):
    assert len(chosen.select(_FILMS, 'val', source)) < 120
    assert 'all its' not in capsys.readouterr().out


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 500), min_size=60), st.integers(0, 9))
def test_new_images_move_no_others(numbers, seed):
  """Each is in one split; order is kept."""
  chosen = selection.Selection(val_fraction=0.4, split_seed=seed)
  names = [f'{number}.png' for number in sorted(numbers)]
  before = {split: _names(chosen.select(_images(*names), split))
            for split in ('train', 'val')}
  assert sorted(before['train'] + before['val']) == sorted(names)
  assert before['val'] == [n for n in names if n in set(before['val'])]
  more = _names(chosen.select(_images('new.png', *names), 'val'))
  assert set(more) - {'new.png'} == set(before['val'])


def test_groups_stay_whole_and_the_share_is_printed(capsys):
  chosen = selection.Selection(val_fraction=0.2, group_by=r'^(\d+)_')
  val = chosen.select(_FILMS, 'val')
  films = {image.filename.split('_')[0] for image in val}
  assert len(val) == 3 * len(films) and 2 <= len(films) <= 16
  assert capsys.readouterr().out == (
      f'val: {len(val)} of 120 images ({len(val) / 120:.1%}), {len(films)} of '
      f'40 groups\n')


def test_another_seed_gives_other_images():
  found = {tuple(_names(selection.Selection(
      val_fraction=0.3, split_seed=seed).select(_FILMS, 'val')))
           for seed in range(3)}
  assert len(found) == 3


def test_lists(tmp_path):
  """With and without endings, in any encoding, in the order of the data."""
  path = tmp_path / 'list.txt'
  path.write_bytes('b\\2_1.jpg\r\n\r\n./1_1\r\nö.png'.encode('utf-16'))
  images = _images('1_1.jpg', 'b/2_1.jpg', '3_1.jpg', 'ö.png')
  chosen = selection.Selection(file_list=str(path))
  assert _names(chosen.select(images, 'test')) == [
      '1_1.jpg', 'b/2_1.jpg', 'ö.png']


@pytest.mark.parametrize('text, message', [
    ('', 'is empty; expected one image name per line'),
    ('\n\n', 'is empty'),
    ('4', "'4' is the name of 0 images; expected names such as '1.jpg'"),
    ('2', "'2' is the name of 2 images"),
    ('1\n1.jpg', "lists '1.jpg' twice"),
])
def test_lists_that_are_not_valid(tmp_path, text, message):
  path = tmp_path / 'list.txt'
  path.write_text(text)
  chosen = selection.Selection(file_list=str(path))
  with pytest.raises(errors.UserError, match=message):
    chosen.select(_images('1.jpg', '2.jpg', '2.png'), 'val')


def test_a_list_that_is_missing():
  with pytest.raises(errors.UserError, match='x.txt: no such file'):
    selection.Selection(file_list='x.txt').select(_FILMS, 'val')


@pytest.mark.parametrize('arguments, message', [
    ({'val_fraction': 0.0}, 'between 0 and 1, got 0'),
    ({'val_fraction': 1}, 'between 0 and 1, got 1'),
    ({'val_fraction': float('nan')}, 'between 0 and 1, got nan'),
    ({'group_by': '(a)'}, '--group_by belongs to --val_fraction'),
    ({'split_seed': 3}, '--split_seed belongs to --val_fraction'),
    ({'val_fraction': 0.2, 'group_by': '(a'}, 'regular expression, but missi'),
    ({'val_fraction': 0.2, 'group_by': 'a'}, 'expected a group in parenthes'),
])
def test_options_that_are_not_valid(arguments, message):
  with pytest.raises(errors.UserError, match=message):
    selection.Selection(**arguments)


def test_selections_that_fail():
  for split in ('train', 'val'):
    with pytest.raises(errors.UserError, match=(
        f'leaves no image for {split} .1 images in 1 groups.; change it, or')):
      for seed in range(20):
        selection.Selection(val_fraction=0.5, split_seed=seed).select(
            _images('x'), split)
  with pytest.raises(errors.UserError, match='--split=test: expected train or'):
    selection.Selection(val_fraction=0.5).select(_FILMS, 'test')
  for pattern in ('^(x)', '^[0-9]|(x)'):
    with pytest.raises(errors.UserError, match=(
        "does not match the image name '0_0.jpg'")):
      selection.Selection(val_fraction=0.5, group_by=pattern).select(
          _FILMS, 'val')


def test_custom_data(tiny_coco, tiny_spec, tmp_path):
  """The only panoptic JSON is divided, whatever its name."""
  tiny = tiny_coco(split='all')
  (tmp_path / 'spec.json').write_text(
      json.dumps(tiny_spec.to_json()))

  def names(split):
    options = splits.ReadOptions(
        spec=str(tmp_path / 'spec.json'),
        selection=selection.Selection(val_fraction=0.5, split_seed=1))
    read = coco.read_custom_split(str(tiny.root), split, options)
    assert read.name == split and read.is_training == (split == 'train')
    return _names(read.images)

  assert sorted(names('train') + names('val')) == ['0.jpg', '1.jpg', '2.jpg']
  found = infer_spec.find(str(tiny.root), 'val', splits.ReadOptions(
      selection=selection.Selection(val_fraction=0.5)))
  assert {entry['id'] for entry in found.entries} == {30, 100}
  (tiny.root / 'annotations' / 'panoptic_val.json').write_text('{}')
  with pytest.raises(errors.UserError, match=(
      r'--val_fraction: expected one panoptic_\*.json .* found 2')):
    names('val')
