"""Image files that a user's arguments name, and names of results."""

import os

import pytest

from axial_tf import errors
from axial_tf.files import earlier_results, image_files


def test_colliding_images_get_distinct_names():
  files = ['in/a/x.jpg', 'in/b/x.jpg', 'in/b/x.png', 'in/b/x.png.jpg', 'in/y.b']
  stems = image_files.output_stems(files)
  assert stems == {
      'in/a/x.jpg': 'a/x', 'in/b/x.jpg': 'b/x.jpg', 'in/b/x.png': 'b/x.png',
      'in/b/x.png.jpg': 'b/x.png.jpg', 'in/y.b': 'y'}
  assert image_files.output_stems(['deep/in/a.jpg']) == {'deep/in/a.jpg': 'a'}


def test_folders_and_patterns_find_images(tmp_path):
  for name in ('a.JPG', 'notes.txt', 'sub/b.png'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('')

  def found(pattern):
    return [os.path.relpath(f, tmp_path)
            for f in image_files.find(str(tmp_path / pattern))]

  assert found('.') == ['./a.JPG', './sub/b.png'] or found('.') == [
      'a.JPG', 'sub/b.png']
  for name in ('p.heic', 'p.avif', 'p.PPM'):
    (tmp_path / 'sub' / name).write_text('')
  assert found('sub') == [f'sub/{name}' for name in (
      'b.png', 'p.PPM', 'p.avif', 'p.heic')]
  assert found('*') == ['a.JPG', 'notes.txt']
  assert found('**/*.png') == ['sub/b.png']
  assert found('notes.txt') == ['notes.txt']
  for nothing in ('*.gif', 'missing', 'sub/none'):
    with pytest.raises(errors.UserError, match='found none'):
      found(nothing)


def _touch(folder, *names):
  for name in names:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text('')


def _found(pattern, output_dir=None):
  return [os.path.relpath(file, pattern) for file in image_files.find(
      str(pattern), output_dir and str(output_dir))]


def test_images_behind_links(tmp_path):
  _touch(tmp_path / 'annex', 'x.png', 'set/y.jpg')
  photos = tmp_path / 'photos'
  photos.mkdir()
  (photos / 'a.png').symlink_to(tmp_path / 'annex' / 'x.png')
  (photos / 'set').symlink_to(tmp_path / 'annex' / 'set')
  (photos / 'set' / 'again').symlink_to(photos)
  (photos / 'gone.png').symlink_to(tmp_path / 'nowhere')
  # A missing file is named when it is read.
  assert _found(photos) == ['a.png', 'gone.png', 'set/y.jpg']
  (tmp_path / 'all').symlink_to(photos)
  assert len(_found(tmp_path / 'all')) == 3


def test_names_like_patterns_and_of_any_bytes(tmp_path):
  odd = os.fsdecode(b'caf\xe9.jpg')
  _touch(tmp_path / 'a[1]', 'b[2].png', 'b2.png', odd)
  assert _found(tmp_path / 'a[1]') == ['b2.png', 'b[2].png', odd]
  assert image_files.find(str(tmp_path / 'a[1]' / '*.jpg')) == [
      str(tmp_path / 'a[1]' / odd)]
  one = str(tmp_path / 'a[1]' / 'b[2].png')
  assert image_files.find(one) == [one]


def _write_results(folder, stem):
  _touch(folder, f'{stem}_panoptic.png', f'{stem}_overlay.png')
  (folder / f'{stem}.json').write_text('{"void_id": 0, "segments": []}')


def test_results_of_an_earlier_prediction_are_not_inputs(tmp_path, capsys):
  _touch(tmp_path, 'a.jpg', 'b_overlay.png', 'c_panoptic.png', 'c.json')
  _write_results(tmp_path, 'a')
  _write_results(tmp_path / 'elsewhere', 'z')
  _touch(tmp_path / 'val', 'panoptic.json', 'panoptic/1.png', 'semantic/1.png')
  _touch(tmp_path / 'asked', 'd_panoptic.png', 'd_overlay.png')
  _touch(tmp_path / 'results', 'overview.png')
  expected = ['a.jpg', 'b_overlay.png', 'c_panoptic.png']
  assert _found(tmp_path, tmp_path / 'results') == expected
  assert '9 images that are results of' in capsys.readouterr().err
  for same in (tmp_path, tmp_path.parent, None):
    assert _found(tmp_path, same) == [*expected, 'results/overview.png']
  assert [os.path.basename(file) for file in image_files.find(
      str(tmp_path / '*.png'))] == expected[1:]
  # If it is named itself, it is used.
  result = str(tmp_path / 'a_overlay.png')
  assert image_files.find(result) == [result]
  with pytest.raises(errors.UserError, match='found none'):
    image_files.find(str(tmp_path / 'elsewhere'))


def test_results_replace_nothing_but_results(tmp_path):
  _touch(tmp_path, 'a.jpg', 'b.png', 'b_panoptic.png', 'mine.json')
  _write_results(tmp_path, 'a')
  files = image_files.find(str(tmp_path))
  earlier_results.require_new(files, [
      str(tmp_path / name) for name in
      ('a.json', 'a_panoptic.png', 'new.json', 'b_overlay.png')])
  for name, message in (('b_panoptic.png', 'is one of the images'),
                        ('mine.json', 'is not a result')):
    with pytest.raises(errors.UserError, match=f'{name}: {message}'):
      earlier_results.require_new(files, [f'{tmp_path}/./{name}'])
