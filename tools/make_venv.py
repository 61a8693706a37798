"""Makes the virtual environments of the Makefile.

  python3 tools/make_venv.py .venv   # makes or updates that of the project
  python3 tools/make_venv.py --lock  # prints the lock file of this Python
  python3 tools/make_venv.py .venv-docs --docs  # that of `make docs`
  python3 tools/make_venv.py --docs-packages    # prints what it asks for

Runs on any Python 3, to say which versions are supported.
"""

import os
import re
import shutil
import subprocess
import sys

OLDEST, NEWEST = (3, 9), (3, 13)
# The lock files hold for Linux x86-64. Other versions resolve setup.py.
LOCKS = {(3, 11): 'requirements.lock', (3, 12): 'requirements-3.12.lock',
         (3, 13): 'requirements-3.12.lock'}
_EXTRAS = '.[demo,test,dev]'
# What builds the site of the documentation, which needs no TensorFlow. Ruff
# breaks the lines of signatures. The lock holds for the Pythons of LOCKS.
DOCS = ('mkdocs-material', 'mkdocstrings[python]', 'ruff',
        # The last releases of mkdocstrings for these know no newer ones.
        'pymdown-extensions<12;python_version<"3.11"')
DOCS_LOCK = 'requirements-docs.lock'


def main(folder, python_is_given, of_docs=False):
  try:
    version = environment_version(folder)
    if version is None:
      check_version(sys.version_info[:2])
      make(folder)
      version = sys.version_info[:2]
    elif python_is_given and version != sys.version_info[:2]:
      raise Mistake(
          f'{folder} is an environment of Python {dotted(version)}, and PYTHON '
          f'is {dotted(sys.version_info)}; remove the folder, or add for '
          f'example {"DOCS_" if of_docs else ""}VENV=.venv-'
          f'{dotted(sys.version_info)}')
    (install_docs if of_docs else install)(
        os.path.join(folder, 'bin', 'python'), version)
  except Mistake as mistake:
    sys.exit(f'error: {mistake}')
  except subprocess.CalledProcessError as failure:
    sys.exit(f'error: {" ".join(failure.cmd)}: ended with status '
             f'{failure.returncode}, see above; repair that and run make again')


class Mistake(Exception):
  """An error that the user can repair, in one line."""


def dotted(version):
  return f'{version[0]}.{version[1]}'


def check_version(version):
  """Raises Mistake unless there is a TensorFlow for this Python."""
  if not OLDEST <= version <= NEWEST:
    raise Mistake(
        f'expected Python {dotted(OLDEST)} to {dotted(NEWEST)}, which '
        f'TensorFlow has packages for, got {dotted(version)}; install one of '
        f'them, for example by "sudo apt install python3.12 python3.12-venv" '
        f'or "uv python install 3.12", and run: make PYTHON=python3.12 ...')


def environment_version(folder):
  """Returns the version of an environment's Python, None if it has none."""
  python = os.path.join(folder, 'bin', 'python')
  if not os.path.exists(os.path.join(folder, 'bin', 'pip')):
    return None
  try:
    found = subprocess.run(
        [python, '-c', 'import sys, pip; print(*sys.version_info[:2])'],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
  except (OSError, subprocess.CalledProcessError):
    return None  # Its Python was removed, or it was made only in part.
  return tuple(int(part) for part in found.stdout.split())


def make(folder):
  """Makes an empty environment, or leaves none."""
  try:
    import ensurepip  # noqa: F401, Debian has it in a package of its own
    import venv
  except ImportError as error:
    raise Mistake(
        f'Python {dotted(sys.version_info)} has no module {error.name}; run: '
        f'sudo apt install python{dotted(sys.version_info)}-venv') from error
  if os.path.exists(folder) and not is_environment(folder):
    raise Mistake(
        f'{folder} exists and is not a virtual environment; move it away')
  try:
    venv.create(folder, clear=True, with_pip=True)
  except BaseException:
    shutil.rmtree(folder, ignore_errors=True)
    raise


def is_environment(folder):
  """Whether a folder may be cleared: an environment, or an empty folder."""
  return not os.listdir(folder) or os.path.exists(
      os.path.join(folder, 'pyvenv.cfg'))


def install(python, version):
  """Installs the packages of the lock file, or those of setup.py."""
  folder = os.path.dirname(os.path.dirname(python))
  print(f'Installing TensorFlow and the rest into {folder} (a few minutes)',
        flush=True)
  pip = pip_install(python)
  lock = LOCKS.get(version)
  if lock is None:
    # The pip that comes with Python 3.9 finds no end in backtracking.
    subprocess.run(pip + ['--upgrade', 'pip'], check=True)
    with open(LOCKS[3, 11]) as file:
      subprocess.run(pip + build_tools(file.read()), check=True)
    subprocess.run(pip + ['--no-build-isolation', '-e', _EXTRAS], check=True)
    return
  with open(lock) as file:
    content = file.read()
  # Without build isolation, packages that come as source are built with the
  # setuptools of the lock file instead of whatever is newest that day.
  subprocess.run(pip + build_tools(content), check=True)
  locked = pip + ['--no-build-isolation', '--no-deps']
  run_together([locked + half for half in halves(content)])
  # Adds what the lock file lacks on other systems than its own.
  subprocess.run(
      pip + ['--no-build-isolation', '-c', lock, '-e', _EXTRAS], check=True)


def install_docs(python, version):
  """Installs what builds the documentation, and not the project."""
  packages = ['-r', DOCS_LOCK] if version in LOCKS else list(DOCS)
  subprocess.run(pip_install(python) + packages, check=True)


def pip_install(python):
  # Most modules are never imported; Python compiles those that are.
  return [python, '-m', 'pip', '--disable-pip-version-check', 'install',
          '--no-compile', '--quiet']


def halves(lock):
  """Returns a lock file's TensorFlow, which is nearly half, and the rest."""
  every = re.findall(r'^[^#\s].+$', lock, re.MULTILINE)
  tensorflow = [line for line in every if line.startswith('tensorflow==')]
  return tensorflow, [line for line in every if line not in tensorflow]


def run_together(commands):
  """Runs commands at the same time, and waits for all of them."""
  running = [subprocess.Popen(command) for command in commands]
  for process, status in [(each, each.wait()) for each in running]:
    if status:
      raise subprocess.CalledProcessError(status, process.args)


def build_tools(lock):
  """Returns the requirements of a lock file that build other packages."""
  return re.findall(r'^(?:setuptools|wheel)==.+$', lock, re.MULTILINE)


if __name__ == '__main__':
  if sys.argv[1] == '--lock':
    print(LOCKS.get(sys.version_info[:2], LOCKS[3, 11]))
  elif sys.argv[1] == '--docs-packages':
    print(' '.join(DOCS))
  else:
    main(sys.argv[1], python_is_given='--python-is-given' in sys.argv,
         of_docs='--docs' in sys.argv)
