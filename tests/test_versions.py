"""Versions for reports of bugs, also where something is missing."""

import importlib.metadata
import platform
import sys

import tensorflow as tf

import axial_tf


def _shown(capsys):
  axial_tf.show_versions()
  return dict(
      line.split(': ', 1) for line in capsys.readouterr().out.splitlines())


def test_versions_of_what_is_there(capsys):
  shown = _shown(capsys)
  assert shown['axial_tf'] == axial_tf.__version__
  assert shown['python'] == platform.python_version()
  assert shown['tensorflow'] == tf.__version__
  assert shown['numpy'] == importlib.metadata.version('numpy')
  package, version = shown['keras'].split()
  assert importlib.metadata.version(package) == version
  assert 'PU' in shown['devices']
  assert 'tf-models-official' in shown and 'platform' in shown


def test_reports_of_bugs_ask_for_them(project_root):
  folder = project_root / '.github' / 'ISSUE_TEMPLATE'
  texts = [path.read_text() for path in folder.glob('*.md')]
  assert texts and all(text.startswith('---\nname: ') for text in texts)
  assert any('axial_tf.show_versions()' in text and '--print_config' in text
             for text in texts)


def test_missing_and_broken_packages_are_told(capsys, monkeypatch):
  class Broken:
    def find_spec(self, name, path=None, target=None):
      if name == 'tensorflow':
        raise ImportError('libcuda.so: not found\n\nmore')

  real = importlib.metadata.version

  def version(name):
    if name == 'numpy':
      raise importlib.metadata.PackageNotFoundError(name)
    return real(name)

  monkeypatch.setattr(importlib.metadata, 'version', version)
  monkeypatch.delitem(sys.modules, 'tensorflow')
  monkeypatch.setattr(sys, 'meta_path', [Broken(), *sys.meta_path])
  shown = _shown(capsys)
  assert shown['numpy'] == 'not installed (numpy)'
  assert shown['tensorflow'] == 'broken (ImportError: libcuda.so: not found)'
  assert shown['axial_tf'] == axial_tf.__version__
