"""The program axial-tf runs every command, and lists them at once."""

import ast
import pathlib
import subprocess
import sys

import pytest

import axial_tf
from axial_tf import __main__ as program
from tests import tools

_ROOT = pathlib.Path(__file__).resolve().parent.parent


def _run(*arguments: str) -> subprocess.CompletedProcess:
  return subprocess.run(
      [sys.executable, '-m', 'axial_tf', *arguments], capture_output=True,
      text=True, check=False, cwd=_ROOT)


def _docstrings():
  """Returns the docstring of each module that `python -m` runs."""
  found = {}
  for package in ('axial_tf', 'data_prep'):
    for path in (_ROOT / package).rglob('*.py'):
      text = path.read_text(encoding='utf-8')
      if "if __name__ == '__main__':" in text:
        parts = path.relative_to(_ROOT).with_suffix('').parts
        name = '.'.join(parts).removesuffix('.__main__')
        found[name] = ast.get_docstring(ast.parse(text))
  return found


def test_every_command_has_a_name_and_its_first_line_in_the_help():
  modules = {name: doc for name, doc in _docstrings().items()
             if not doc.startswith('Earlier name') and name != 'axial_tf'}
  assert len(modules) >= 15
  assert set(program.COMMANDS.values()) == set(modules)
  for arguments in (), ('--help',):
    done = _run(*arguments)
    assert (done.returncode, done.stderr) == (0, '')
    for name, module in program.COMMANDS.items():
      first = modules[module].partition('\n')[0]
      assert f'  {name:<20}{first}\n' in done.stdout


def test_help_loads_no_tensorflow():
  done = subprocess.run(
      [sys.executable, '-c',
       'import sys; from axial_tf import __main__ as program; '
       'sys.argv = ["axial-tf", "--help"]; program.main(); '
       'print([m for m in ("tensorflow", "absl", "numpy") if m in '
       'sys.modules])'], capture_output=True, text=True, check=True, cwd=_ROOT)
  assert done.stdout.splitlines()[-1] == '[]'


def test_version():
  assert _run('--version').stdout == f'axial_tf {axial_tf.__version__}\n'


@pytest.mark.parametrize('name', ['export_heads', 'export-heads'])
def test_a_command_gets_its_arguments(name):
  done = _run(name, '--size=180,240', '--help')
  assert done.returncode == 0
  assert 'python -m axial_tf.export_heads' in done.stdout
  assert '--size: ' in done.stdout
  assert tools.refused('axial_tf.export_heads', '--sizes=3') in (
      _run(name, '--sizes=3').stderr.splitlines())


@pytest.mark.parametrize('name, hint', [
    ('trian', 'did you mean train?'), ('fly', '--help lists them')])
def test_an_unknown_command_is_one_line(name, hint):
  done = _run(name, '--steps=3')
  assert done.returncode == 1 and done.stderr.count('\n') == 1
  assert done.stderr.startswith('error: ') and hint in done.stderr
