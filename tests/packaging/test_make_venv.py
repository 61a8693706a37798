"""The Makefile's environment: mistakes are one line and leave nothing."""

import re
import subprocess
import sys
import venv

import pytest

from tools import make_venv


def _run(*arguments):
  return subprocess.run(
      [sys.executable, make_venv.__file__, *map(str, arguments)],
      capture_output=True, text=True)


@pytest.mark.parametrize('version', [(3, 8), (3, 14), (2, 7)])
def test_unsupported_pythons_get_the_command_for_one(version):
  with pytest.raises(make_venv.Mistake, match=(
      r'expected Python 3\.9 to 3\.13.*got .*python3\.12-venv')):
    make_venv.check_version(version)


def test_every_supported_python_is_accepted():
  for minor in range(9, 14):
    make_venv.check_version((3, minor))


def test_a_folder_of_something_else_stays(tmp_path):
  (tmp_path / 'thesis.txt').write_text('mine')
  done = _run(tmp_path)
  assert done.returncode == 1 and done.stderr.count('\n') == 1
  assert 'is not a virtual environment; move it away' in done.stderr
  assert (tmp_path / 'thesis.txt').exists()


def test_without_venv_the_package_of_debian_is_named(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'ensurepip', None)
  with pytest.raises(make_venv.Mistake, match=r'apt install python3\.\d+-venv'):
    make_venv.make(str(tmp_path / 'new'))
  assert not (tmp_path / 'new').exists()


def test_an_environment_that_fails_is_not_left_in_part(tmp_path, monkeypatch):
  def fail(folder, **_):
    (tmp_path / 'new').mkdir()
    raise subprocess.CalledProcessError(1, ['ensurepip'])

  monkeypatch.setattr(venv, 'create', fail)
  with pytest.raises(subprocess.CalledProcessError):
    make_venv.make(str(tmp_path / 'new'))
  assert not (tmp_path / 'new').exists()


def test_environments_made_in_part_or_without_their_python_are_none(tmp_path):
  folder = tmp_path / 'new'
  assert make_venv.environment_version(str(folder)) is None
  venv.create(folder, with_pip=False)
  assert make_venv.environment_version(str(folder)) is None
  (folder / 'bin' / 'pip').touch()
  (folder / 'bin' / 'python').unlink()
  (folder / 'bin' / 'python').symlink_to(tmp_path / 'gone')
  assert make_venv.environment_version(str(folder)) is None


def test_an_environment_of_another_python_is_not_replaced(
    tmp_path, monkeypatch):
  monkeypatch.setattr(make_venv, 'environment_version', lambda _: (3, 1))
  with pytest.raises(SystemExit, match=r'is an environment of Python 3\.1,'):
    make_venv.main(str(tmp_path), python_is_given=True)


def test_a_failing_pip_is_one_line(tmp_path, monkeypatch):
  monkeypatch.setattr(
      make_venv, 'environment_version', lambda _: sys.version_info[:2])
  (tmp_path / 'bin').mkdir()
  (tmp_path / 'bin' / 'python').symlink_to('/bin/false')
  with pytest.raises(SystemExit, match='^error: .*pip.* ended with status 1'):
    make_venv.main(str(tmp_path), python_is_given=False)


@pytest.mark.parametrize('version', sorted(make_venv.LOCKS))
def test_the_lock_is_installed_in_two_parts(
    project_root, monkeypatch, version):
  monkeypatch.chdir(project_root)
  monkeypatch.setattr(subprocess, 'run', lambda command, check: None)
  commands = []
  monkeypatch.setattr(make_venv, 'run_together', commands.extend)
  make_venv.install('bin/python', version)
  parts = [command[command.index('--no-deps') + 1:] for command in commands]
  lines = (project_root / make_venv.LOCKS[version]).read_text().splitlines()
  assert sorted(sum(parts, [])) == sorted(
      line for line in lines if not line.startswith('#'))
  assert len(parts[0]) == 1 and parts[0][0].startswith('tensorflow==')


def test_a_part_that_fails_is_reported_when_all_have_ended(tmp_path):
  made = tmp_path / 'made'
  slow = ['sh', '-c', f'sleep 0.5; touch {made}']
  with pytest.raises(subprocess.CalledProcessError, match="'false'"):
    make_venv.run_together([['false'], slow])
  assert made.exists()


@pytest.mark.parametrize('version, wanted', [
    ((3, 12), ['-r', 'requirements-docs.lock']),
    ((3, 9), list(make_venv.DOCS))])
def test_the_documentation_needs_no_tensorflow(version, wanted, monkeypatch):
  commands = []
  monkeypatch.setattr(
      subprocess, 'run', lambda command, check: commands.append(command))
  make_venv.install_docs('bin/python', version)
  (command,) = commands
  assert command[command.index('--quiet') + 1:] == wanted


def test_the_lock_of_the_documentation_has_what_is_asked_for(project_root):
  lock = (project_root / make_venv.DOCS_LOCK).read_text()
  for package in make_venv.DOCS:
    assert f'\n{re.match("[a-z-]+", package)[0]}==' in lock
  assert 'mkdocstrings-python==' in lock and 'tensorflow' not in lock
