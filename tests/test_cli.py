"""The entry point of all commands: one line and a status for a mistake."""

import os
import platform
import subprocess
import sys
import textwrap

import pytest

import axial_tf
from tests import tools


def _run(body: str, *arguments: str) -> subprocess.CompletedProcess:
  program = textwrap.dedent(f'''
      from absl import flags
      from axial_tf import cli, errors
      flags.DEFINE_integer('steps', 1, 'how many steps')
      def main():
        {body}
      cli.run(main, 'Does things. Example: tool --steps=3')
      ''')
  return subprocess.run(
      [sys.executable, '-c', program, *arguments], capture_output=True,
      text=True, check=False)


def test_a_users_mistake_is_one_line_and_status_1():
  done = _run("raise errors.UserError('a.png: not an image;\\nconvert it')")
  assert done.returncode == 1
  assert done.stderr == 'error: a.png: not an image; convert it\n'


def test_sigterm_ends_as_an_exception_does():
  done = _run('''
        import os, signal, time
        try:
          os.kill(os.getpid(), signal.SIGTERM)
          time.sleep(60)
        finally:
          print('tidy')
      ''')
  assert (done.returncode, done.stdout, done.stderr) == (143, 'tidy\n', '')


@pytest.mark.skipif(platform.machine() != 'x86_64', reason='oneDNN is of x86')
@pytest.mark.parametrize('given, wanted', [({}, '1'), (
    {'TF_ENABLE_ONEDNN_OPTS': '0'}, '0')])
def test_onednn_is_on_unless_the_user_switches_it_off(
    given, wanted, project_root):
  environment = {name: value for name, value in os.environ.items()
                 if name != 'TF_ENABLE_ONEDNN_OPTS'}
  done = subprocess.run(
      [sys.executable, '-c', 'import os; from axial_tf import cli; '
       'print(os.environ["TF_ENABLE_ONEDNN_OPTS"])'],
      env={**environment, **given}, cwd=project_root, check=True,
      capture_output=True, text=True)
  assert done.stdout.strip() == wanted


@pytest.mark.parametrize('loaded, told', [
    ('tensorflow', ['later']), ('another', ['later', 'deleted'])])
@pytest.mark.parametrize('stop, status', [('', 0), ('sys.exit(7)', 7)])
def test_a_program_of_tensorflow_ends_without_deletions(
    loaded, told, stop, status):
  done = _run(f'''
        import atexit, sys
        class Slow:
          def __del__(self):
            print('deleted')
        sys.modules[{loaded!r}] = Slow()
        atexit.register(print, 'later')
        {stop}
      ''')
  assert (done.returncode, done.stdout.split(), done.stderr) == (
      status, told, '')


def test_a_bug_keeps_its_traceback():
  done = _run("raise KeyError('x')")
  assert done.returncode == 1 and 'Traceback' in done.stderr


def test_help_shows_the_example_and_the_flags():
  done = _run('pass', '--help')
  assert done.returncode == 0
  assert 'tool --steps=3' in done.stdout and 'how many steps' in done.stdout


def test_version_is_printed_wherever_it_stands():
  done = _run('print(1)', '--steps=3', '--version')
  assert (done.returncode, done.stdout) == (
      0, f'axial_tf {axial_tf.__version__}\n')
  assert 'print the version' in _run('pass', '--help').stdout


@pytest.mark.parametrize('module', ['axial_tf.export', 'axial_tf.client'])
def test_version_alone_is_not_that_of_a_model(module):
  done = tools.succeeds(module, '--version')
  assert done.stdout == f'axial_tf {axial_tf.__version__}\n'


@pytest.mark.parametrize('argument, named', [
    ('--step=3', 'step'), ('--steps=many', 'many'), ('stray', 'stray')])
def test_wrong_arguments_are_named_without_traceback(argument, named):
  done = _run('pass', argument)
  assert done.returncode == 1
  assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
  assert named in done.stderr


def test_a_tool_may_take_files():
  program = """
from axial_tf import cli
cli.run(print, 'Shows files.', takes_arguments=True)
"""
  done = subprocess.run(
      [sys.executable, '-c', program, 'a', 'b'], capture_output=True, text=True,
      check=True)
  assert done.stdout == "['a', 'b']\n"


def test_a_closed_output_pipe_is_not_an_error():
  program = """
from axial_tf import cli
def main():
  for _ in range(100_000):
    print('a line')
cli.run(main, 'Prints.')
"""
  with subprocess.Popen(
      [sys.executable, '-c', program], stdout=subprocess.PIPE,
      stderr=subprocess.PIPE, text=True) as process:
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ''
    assert process.wait() == 1


def test_paths_expand_the_home_folder(tmp_path):
  program = """
from absl import flags
from axial_tf import cli
cli.define_path('one', None, 'a path', any_bytes=True)
cli.define_path('near', None, 'a path', local=True)
cli.define_paths('more', 'paths')
given = flags.FLAGS
cli.run(lambda files: print(given.one, given.near, given.more, files), 'Shows.',
        takes_arguments=True)
"""

  def run(*arguments):
    return subprocess.run(
        [sys.executable, '-c', program, *arguments], capture_output=True,
        text=True, check=False, env={
            'HOME': '/users/me', 'PYTHONPATH': ':'.join(filter(None, sys.path)),
            'PYTHONIOENCODING': 'ascii'})

  done = run('--one=~/a', '--near', '~', '--more=~/b', '--more=c', '~/d')
  assert done.stdout == (
      "/users/me/a /users/me ['/users/me/b', 'c'] ['/users/me/d']\n")
  done = run(b'--one=caf\xe9 \xc3\xa9')
  assert done.returncode == 0
  assert done.stdout == "caf\\udce9 \\xe9 None None []\n"
  for argument, named in ((b'--more=caf\xe9', 'in UTF-8'),
                          ('--near=gs://a', 'a path on this machine'),
                          ('', 'got an empty one'),
                          ('--one=~nobody-at-all/a', 'the home folder')):
    done = run(argument)
    assert done.returncode == 1 and done.stderr.count('\n') == 1
    assert done.stderr.startswith('error: ') and named in done.stderr
  assert 'a path' in run('--help').stdout
