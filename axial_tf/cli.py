"""Runs a command-line tool: flags in, one clear line on a mistake."""

import atexit
import contextlib
import gc
import io
import os
import platform
import signal
import sys
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Tuple
import warnings

from absl import app, flags, logging

from axial_tf import errors, log_filter, version
from axial_tf.files import paths

# The flags defined here belong to the tools that define them by this module.
flags.disclaim_key_flags()
# Before TensorFlow is imported: its start-up notices hide our own lines. A
# program that imports it before `run` filters does without its errors.
_LEVEL = 'TF_CPP_MIN_LOG_LEVEL'
_IS_OUR_LEVEL = _LEVEL not in os.environ
os.environ.setdefault(_LEVEL, '3')
# TensorFlow uses oneDNN by default only on CPUs with AVX-512 VNNI or newer; on
# those with AVX2 it is faster, too.
if platform.machine() == 'x86_64':
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')
warnings.filterwarnings('ignore', category=FutureWarning, module='google')


def _print_error(error: errors.UserError) -> None:
  print('error: ' + ' '.join(str(error).split()), file=sys.stderr)


def _excepthook(kind, error, trace):
  """Also prints one line for errors of the environment at import."""
  if issubclass(kind, errors.UserError):
    _print_error(error)
  else:
    sys.__excepthook__(kind, error, trace)


sys.excepthook = _excepthook


# Status of the program, once it has come to its end.
_status: Optional[int] = None


def end_at_once() -> None:
  """Makes the program end without deleting what TensorFlow has made.

  A thread of tf.data adjusts each pipeline at growing intervals, of a minute at
  last; the deletion of an iterator that a strategy's devices read waits for it.
  Registered first, this runs after all other functions of `atexit`.
  """
  atexit.register(_end)


def _end() -> None:
  if _status is None or 'tensorflow' not in sys.modules:
    return
  try:
    for stream in (sys.stdout, sys.stderr):
      stream.flush()
  except (OSError, ValueError):  # Python's own end knows what to do.
    return
  os._exit(_status)


def run(main, docstring: str, takes_arguments: bool = False) -> None:
  """Runs `main()` as a program: parses absl flags, then calls it.

  With `takes_arguments`, it is called with the list of the arguments that are
  not flags, which are paths; otherwise there must not be any.

  A `UserError` is printed as one line `error: ...` and exits with status 1;
  Ctrl-C exits with 130 and SIGTERM with 143, both after cleaning up; `--help`
  prints `docstring` and the flags and exits with 0, `--version` the version of
  this package. Anything else is a bug in it and keeps its traceback.
  TensorFlow's own lines are shown if they are errors, see `log_filter`.
  """
  global _status
  end_at_once()
  sys.modules['__main__'].__doc__ = docstring
  for stream in (sys.stdout, sys.stderr):
    if isinstance(stream, io.TextIOWrapper):
      # A name that the terminal cannot show may look odd, but must not fail.
      stream.reconfigure(errors='backslashreplace')

  _define_version()

  def guarded(argv):
    if not flags.FLAGS['verbosity'].present:
      logging.set_verbosity(logging.ERROR)
    try:
      if takes_arguments:
        if '' in argv:
          raise errors.UserError(
              'expected file names, got an empty one; is a shell variable '
              'unset?')
        with _filtered():
          main([paths.expand(argument) for argument in argv[1:]])
        return
      if len(argv) > 1:
        raise errors.UserError(
            f'unexpected argument {argv[1]!r}: options look like --name=value '
            f'(see --help)')
      with _filtered():
        main()
    except errors.UserError as error:
      _print_error(error)
      sys.exit(1)
    except KeyboardInterrupt:
      print('interrupted', file=sys.stderr)
      sys.exit(130)

  # Imports and graphs are many objects that stay: at Python's own threshold of
  # 700, looking for garbage among them takes a tenth of a program's start.
  gc.set_threshold(10_000, 10, 10)
  asked_for_help = any(
      a.split('=')[0].lstrip('-') in ('help', 'helpshort', 'helpfull')
      for a in sys.argv[1:])
  try:
    with _tidy_stop():
      app.run(guarded, flags_parser=_parse)
  except SystemExit as stop:
    if asked_for_help:
      sys.exit(0)
    if stop.code is None or isinstance(stop.code, int):
      _status = stop.code or 0
    raise
  except BrokenPipeError:
    if not _output_is_unread():
      raise
    sys.exit(1)


def environment() -> Dict[str, str]:
  """Returns the environment for another command, whose filter is its own."""
  given = dict(os.environ)
  if _IS_OUR_LEVEL:
    del given[_LEVEL]
  return given


@contextlib.contextmanager
def _filtered():
  """Shows TensorFlow's errors, without what only looks like one."""
  with log_filter.active() as is_active:
    # One of several workers reports the end of another one as errors, even of
    # one that is done; our own line says if one is lost.
    if is_active and _IS_OUR_LEVEL and 'TF_CONFIG' not in os.environ:
      os.environ[_LEVEL] = '2'
    yield


@contextlib.contextmanager
def _tidy_stop():
  """Makes SIGTERM end the program like an exception."""
  previous = signal.signal(
      signal.SIGTERM, lambda number, _: sys.exit(128 + number))
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, previous)


class _PathParser(flags.ArgumentParser):
  """Parses a path, see `define_path`."""

  def __init__(self, any_bytes: bool, local: bool):
    super().__init__()
    self._any_bytes = any_bytes
    self._local = local

  def parse(self, argument: str) -> str:
    path = paths.expand(argument)
    if self._local:
      paths.require_local(path)
    return path if self._any_bytes else paths.require_utf8(path)

  def flag_type(self) -> str:
    return 'path'


def define_path(name: str, default: Optional[str], meaning: str,
                any_bytes: bool = False, local: bool = False
                ) -> flags.FlagHolder:
  """Defines a flag that holds a path, in which ~ is the home folder.

  Args:
    name: name of the flag.
    default: its value if it is not given.
    meaning: description for --help.
    any_bytes: whether the path may be invalid UTF-8, which TensorFlow cannot
      open.
    local: whether it must be on this machine, not gs:// and the like.
  """
  return flags.DEFINE(_PathParser(any_bytes, local), name, default, meaning)


def define_paths(name: str, meaning: str) -> None:
  """Defines a flag that may be repeated, see `define_path`."""
  flags.DEFINE_multi(
      _PathParser(any_bytes=False, local=False), flags.ArgumentSerializer(),
      name, None, meaning)


def numbers(flag: str, texts: Optional[Sequence[str]]
            ) -> Optional[List[float]]:
  """Returns the numbers of a list flag; None if it is not given.

  Raises:
    errors.UserError: a text is not a number.
  """
  try:
    return None if texts is None else [float(text) for text in texts]
  except ValueError as error:
    raise errors.UserError(
        f'--{flag}: expected numbers such as 0.5,1,1.5, got '
        f'{",".join(texts)}') from error


def size(flag: str, texts: Optional[Sequence[str]]
         ) -> Optional[Tuple[int, int]]:
  """Returns height and width of a list flag; None if it is not given.

  Raises:
    errors.UserError: the texts are not two positive integers.
  """
  if texts is None:
    return None
  if len(texts) != 2 or not all(
      side.isdecimal() and int(side) > 0 for side in texts):
    raise errors.UserError(
        f'--{flag}: expected height and width such as 180,240, got '
        f'{",".join(texts)}')
  height, width = map(int, texts)
  return height, width


def define_by(define: Callable[[], None]) -> List[str]:
  """Calls a function that defines this tool's flags; returns their names."""
  before = set(flags.FLAGS)
  define()
  names = [name for name in flags.FLAGS if name not in before]
  for name in names:
    flags.declare_key_flag(name)  # --help lists it.
  return names


def require(**meanings: str) -> None:
  """Raises a UserError unless flags are given: name='what is expected'."""
  for name, meaning in meanings.items():
    if not flags.FLAGS[name].value:
      raise errors.UserError(
          f'--{name} is missing: expected {meaning} (see --help for an '
          f'example)')


def refuse(names: Iterable[str], reason: str) -> None:
  """Raises a UserError, `--name` and the reason, if any flag is given."""
  given = next((name for name in names if flags.FLAGS[name].present), None)
  if given is not None:
    raise errors.UserError(f'--{given}{reason}')


def require_known(flag: str, given: Iterable[str], known: Iterable[str]
                  ) -> None:
  """Checks that all entries of a list flag are known.

  Raises:
    errors.UserError: an entry is unknown.
  """
  unknown = sorted(set(given) - set(known))
  if unknown:
    raise errors.UserError(
        f'--{flag}: expected some of {", ".join(known)}, got '
        f'{", ".join(unknown)}')


def _output_is_unread() -> bool:
  """Whether `| head` or the like has stopped reading; drops the rest then."""
  try:
    # An unbuffered stream has nothing left to flush.
    print(flush=True)
  except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
  return False


def _define_version() -> None:
  """Defines --version, which may be that of a model to a command."""
  if 'version' not in flags.FLAGS:
    flags.DEFINE_bool('version', False, 'print the version and exit.')
    flags.declare_key_flag('version')


def _parse(argv):
  # Alone, it cannot be that of a model.
  if argv[1:] == ['--version']:
    _exit_with_version()
  try:
    remaining = flags.FLAGS(argv)
    if flags.FLAGS['version'].value is True:
      _exit_with_version()
    return remaining
  except flags.Error as error:
    print(f'error: {errors.first_line(error)} (see --help)', file=sys.stderr)
    sys.exit(1)


def _exit_with_version() -> None:
  print(f'axial_tf {version.__version__}')
  sys.exit(0)
