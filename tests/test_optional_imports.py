"""Missing and broken packages are reported with a command that works."""

import os
import shlex
import sys

import pytest

from axial_tf import errors, optional_imports
from axial_tf.client import client
from axial_tf.cluster import beam_options
from axial_tf.export import fixed_size, warmup
from data_prep import sample_digits
from tests import color_model

_CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def broken(tmp_path, monkeypatch):
  """Shadows the installed package with one of the given source."""

  def put(package, source):
    folder = tmp_path / package
    folder.mkdir()
    (folder / '__init__.py').write_text(source)
    for name in list(sys.modules):
      if name.split('.')[0] == package:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))

  return put


def _convert():
  fixed_size.convert(color_model.inference(), 8, 8, 'onnx')


def _run_onnx():
  fixed_size.check(color_model.inference(), b'', 8, 8, 'onnx')


def _warm_up():
  warmup.write('/nowhere/at/all', (1,), 100)


def _make_digits():
  sample_digits.make('/nowhere/at/all')


def _grpc():
  client.Client('host:1', 'model')


_USERS = [('apache_beam', beam_options.require_beam, 'beam'),
          ('sklearn', _make_digits, 'demo'),
          ('tf2onnx', _convert, 'onnx'),
          ('onnxruntime', _run_onnx, 'onnx'),
          ('tensorflow_serving', _warm_up, 'serving'),
          ('tensorflow_serving', _grpc, 'serving')]


def _told(call, capsys):
  """Returns the line of an error, or of a notice."""
  try:
    call()
  except errors.UserError as error:
    return str(error)
  return capsys.readouterr().err.strip()


@pytest.mark.parametrize('package, call, extra', _USERS)
@pytest.mark.parametrize('source, cause', [
    ('import joblib_that_is_gone', "No module named 'joblib_that_is_gone'"),
    ("raise TypeError('Descriptors cannot be created directly.')",
     'TypeError: Descriptors cannot be created directly.')])
def test_a_broken_package_is_named_with_its_cause(
    broken, capsys, package, call, extra, source, cause):
  broken(package, source)
  told = _told(call, capsys)
  assert f'needs {package}, which is installed, but cannot be' in told
  assert cause in told and f'[{extra}]' in told and '\n' not in told


@pytest.mark.parametrize('package, call, extra', _USERS)
def test_a_missing_package_is_named(monkeypatch, capsys, package, call, extra):
  for name in list(sys.modules):
    if name.split('.')[0] == package:
      monkeypatch.delitem(sys.modules, name)
  monkeypatch.setattr(sys, 'meta_path', [_Hides(package), *sys.meta_path])
  told = _told(call, capsys)
  assert f'needs {package}, which is not installed; install it' in told
  assert f'[{extra}]' in told and '\n' not in told


class _Hides:
  """An importer that does not find a package."""

  def __init__(self, package):
    self._package = package

  def find_spec(self, name, path=None, target=None):
    if name.split('.')[0] == self._package:
      raise ModuleNotFoundError(f'No module named {name!r}', name=self._package)


def test_the_command_names_this_checkout_and_this_python():
  words = shlex.split(optional_imports.install_command('beam'))
  assert words == [sys.executable, '-m', 'pip', 'install', '-e',
                   f'{_CHECKOUT}[beam]']


def test_without_a_checkout_the_command_names_the_packages(monkeypatch):
  monkeypatch.setattr(optional_imports, '_PACKAGE', '/site/axial_tf')
  monkeypatch.setattr(
      optional_imports.importlib.metadata, 'requires', lambda name: [
          'tensorflow==2.15.1', 'apache-beam>=2.60; extra == "beam"',
          'numpy<2; python_version < "3.0"',
          'onnx<1.17; python_version >= "3.9" and extra == "onnx"',
          'onnx>2; python_version < "3.9" and extra == "onnx"',
          "tf2onnx ; extra == 'onnx'"])
  words = shlex.split(optional_imports.install_command('onnx'))
  assert words == [
      sys.executable, '-m', 'pip', 'install', 'onnx<1.17', 'tf2onnx']


def test_no_text_recommends_installing_a_name_that_no_index_has(project_root):
  texts = [*project_root.glob('*.md'), *project_root.glob('docs/*.md'),
           *project_root.glob('axial_tf/**/*.py'),
           *project_root.glob('data_prep/*.py')]
  assert len(texts) > 100
  for path in texts:
    assert 'axial_tf[' not in path.read_text(encoding='utf-8'), path
