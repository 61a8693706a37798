"""The wheel holds every module and config and works without the source tree."""

import configparser
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

_PACKAGES = ('axial_tf', 'data_prep')

# Run inside the fresh environment. Each binary defines its own flags, as it
# may: two of them never share a process. So flags are dropped after import.
_IMPORT_ALL = """
import importlib, pathlib, sys
from absl import flags
site, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
for name in names:
  before = set(flags.FLAGS)
  module = importlib.import_module(name)
  assert site in pathlib.Path(module.__file__).parents, module.__file__
  for flag in set(flags.FLAGS) - before:
    delattr(flags.FLAGS, flag)
from axial_tf.experiment import config
experiment = config.parse(
    ['experiments/demo.gin'], ["RECORDS = 'some/folder'"])
from axial_tf.specs import dataset_spec
spec = dataset_spec.DatasetSpec.load(experiment.task.spec)
print('imported', len(names), 'parsed', type(experiment).__name__,
      'for', spec.name)
"""


def _run(*command, cwd):
  done = subprocess.run(
      [str(c) for c in command], cwd=cwd, text=True, stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
  assert done.returncode == 0, done.stdout[-4000:]
  return done.stdout


def _modules(paths):
  """Dotted names of module files that are given relative to their root."""
  names = set()
  for path in paths:
    parts = pathlib.PurePosixPath(path).with_suffix('').parts
    names.add('.'.join(parts[:-1] if parts[-1] == '__init__' else parts))
  return names


@pytest.fixture(scope='module')
def wheel(project_root, tmp_path_factory):
  """A wheel built from a copy, since building leaves files in the tree."""
  source = tmp_path_factory.mktemp('source')
  for folder in (*_PACKAGES, 'gin_configs'):
    shutil.copytree(
        project_root / folder, source / folder,
        ignore=shutil.ignore_patterns('__pycache__'))
  for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
    shutil.copy(project_root / name, source / name)
  output = tmp_path_factory.mktemp('wheel')
  _run(sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-index',
       '--no-build-isolation', '--wheel-dir', output, '.', cwd=source)
  (built,) = output.glob('*.whl')
  return built


@pytest.fixture(scope='module')
def contents(wheel):
  return set(zipfile.ZipFile(wheel).namelist())


def test_wheel_has_every_module_of_the_source_tree(project_root, contents):
  sources = {
      path.relative_to(project_root).as_posix()
      for package in _PACKAGES
      for path in (project_root / package).rglob('*.py')}
  assert len(sources) > 20
  assert sources - contents == set()


def test_wheel_has_every_config_and_dataset_spec(project_root, contents):
  configs = {
      'axial_tf/' + path.relative_to(project_root).as_posix()
      for pattern in ('*.gin', '*.json')
      for path in (project_root / 'gin_configs').rglob(pattern)}
  specs = {
      path.relative_to(project_root).as_posix()
      for path in (project_root / 'axial_tf').rglob('*.json')}
  assert configs and specs
  assert (configs | specs) - contents == set()


def test_wheel_installs_two_packages_and_the_license(contents):
  top = {name.split('/')[0] for name in contents}
  (metadata,) = [name for name in top if name.endswith('.dist-info')]
  assert top - {metadata} == set(_PACKAGES)
  assert any(name.endswith('/LICENSE') for name in contents)


def test_wheel_installs_the_program(wheel):
  archive = zipfile.ZipFile(wheel)
  (file,) = [name for name in archive.namelist()
             if name.endswith('/entry_points.txt')]
  parser = configparser.ConfigParser()
  parser.read_string(archive.read(file).decode())
  assert dict(parser['console_scripts']) == {
      'axial-tf': 'axial_tf.__main__:main'}


def test_wheel_and_bazel_module_have_one_version(project_root, wheel):
  module = (project_root / 'MODULE.bazel').read_text()
  assert f'version = "{wheel.name.split("-")[1]}",\n)' in module


@pytest.mark.slow
def test_installed_wheel_imports_and_parses_away_from_the_source(
    wheel, contents, tmp_path):
  environment = tmp_path / 'env'
  venv.create(environment, with_pip=False, symlinks=True)
  python = environment / 'bin' / 'python'
  site = environment / 'lib' / (
      f'python{sys.version_info[0]}.{sys.version_info[1]}') / 'site-packages'
  _run(sys.executable, '-m', 'pip', 'install', '--no-deps', '--no-index',
       '--target', site, wheel, cwd=tmp_path)
  # Appends the dependencies' folder to sys.path without reading its own .pth
  # files, where an editable install of this project would be.
  paths = {sysconfig.get_path(kind) for kind in ('purelib', 'platlib')}
  (site / 'dependencies.pth').write_text('\n'.join(sorted(paths)) + '\n')

  elsewhere = tmp_path / 'elsewhere'
  elsewhere.mkdir()
  modules = sorted(_modules(n for n in contents if n.endswith('.py')))
  printed = _run(
      python, '-I', '-c', _IMPORT_ALL, site, *modules, cwd=elsewhere)
  assert f'imported {len(modules)} parsed Experiment for digits' in printed
