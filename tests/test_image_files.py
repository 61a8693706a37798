"""From what a user names to image files, and to names of results."""

import os

import pytest

from axial_tf import errors, image_files


def test_images_that_collide_get_names_of_their_own():
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
