"""Gin files are found where users put them, whatever else is there."""

import os

import pytest

from axial_tf import errors
from axial_tf.experiment import config, gin_files

_REQUIRED = ["RECORDS = '/nowhere'"]


def _text(file: str) -> str:
  return ''.join(chunk.read() for chunk in gin_files.chunks(file))


@pytest.mark.parametrize('folder', [
    'runs', 'datasets', 'models', 'experiments', 'gin_configs', 'axial_tf'])
def test_folders_named_like_ours_do_not_matter(folder, tmp_path, monkeypatch):
  (tmp_path / folder).mkdir()
  monkeypatch.chdir(tmp_path)
  for name in ('experiments/demo.gin', 'gin_configs/experiments/demo.gin'):
    assert config.parse([name], _REQUIRED).run.train_steps > 1


def test_shipped_files_include_shipped_files(tmp_path, monkeypatch):
  for folder in ('models', 'runs'):
    (tmp_path / folder).mkdir()
  shipped = config.parse(['experiments/demo.gin'], _REQUIRED)
  (tmp_path / 'runs' / 'panoptic.gin').write_text('broken =')
  (tmp_path / 'models' / 'axial_deeplab_small_images.gin').write_text('X = ')
  monkeypatch.chdir(tmp_path)
  assert config.parse(['experiments/demo.gin'], _REQUIRED) == shipped


def test_an_include_is_searched_next_to_its_file_first(tmp_path, monkeypatch):
  (tmp_path / 'my').mkdir()
  (tmp_path / 'my' / 'base.gin').write_text("include 'experiments/demo.gin'\n")
  (tmp_path / 'my' / 'exp.gin').write_text(
      "include 'base.gin'  # Mine.\nTRAIN_STEPS = 2\n")
  (tmp_path / 'base.gin').write_text('another = ')
  monkeypatch.chdir(tmp_path)
  assert config.parse(['my/exp.gin'], _REQUIRED).run.train_steps == 2
  # In the current folder otherwise.
  os.rename('my/base.gin', 'base.gin')
  assert config.parse(['my/exp.gin'], _REQUIRED).run.train_steps == 2


def test_bindings_after_an_include_override_it(tmp_path):
  (tmp_path / 'a.gin').write_text("A = 1\nB = 1\n")
  (tmp_path / 'b.gin').write_text("A = 2\ninclude 'a.gin'\nB = 2\n")
  assert _text(str(tmp_path / 'b.gin')).split() == (
      'A = 2 A = 1 B = 1 B = 2'.split())


def test_a_mistake_after_an_include_has_its_file_and_line(tmp_path):
  path = tmp_path / 'mine.gin'
  path.write_text(
      "# Mine\ninclude 'experiments/demo.gin'\n\nRunSettings.train_stepz = 3\n")
  with pytest.raises(errors.UserError, match=r'mine\.gin.*train_stepz'):
    config.parse([str(path)], _REQUIRED)
  chunk = list(gin_files.chunks(str(path)))[-1].read()
  assert chunk.split('\n').index('RunSettings.train_stepz = 3') == 3


def test_files_that_include_each_other_are_named(tmp_path):
  (tmp_path / 'a.gin').write_text("include 'b.gin'\n")
  (tmp_path / 'b.gin').write_text("include 'a.gin'\n")
  with pytest.raises(errors.UserError, match=r'b\.gin: includes .*a\.gin'):
    config.parse([str(tmp_path / 'a.gin')])


@pytest.mark.parametrize('line', [
    'include demo.gin', "include 'demo.gin", "include 'a.gin', 'b.gin'"])
def test_an_include_that_cannot_be_read_has_its_line(line, tmp_path):
  (tmp_path / 'a.gin').write_text(f'A = 1\n{line}\n')
  with pytest.raises(errors.UserError, match=r'a\.gin: line 2: expected incl'):
    config.parse([str(tmp_path / 'a.gin')])


def test_an_include_among_the_bindings_is_refused():
  with pytest.raises(errors.UserError, match='give the file as --gin_file'):
    config.parse(['experiments/demo.gin'], ["include 'models/x.gin'"])


def test_home_folders_and_text_from_windows(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  (tmp_path / 'base.gin').write_bytes(
      b"\xef\xbb\xbfinclude 'experiments/demo.gin'\r\nTRAIN_STEPS = 3\r\n")
  (tmp_path / 'exp.gin').write_text("include '~/base.gin'\n")
  assert config.parse(['~/exp.gin'], _REQUIRED).run.train_steps == 3


def test_files_that_are_not_text_are_refused(tmp_path):
  (tmp_path / 'a.gin').write_bytes(b'A = 1\n\xff\x00\x81')
  with pytest.raises(errors.UserError, match='line 2 is not UTF-8 text'):
    config.parse([str(tmp_path / 'a.gin')])
