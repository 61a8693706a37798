"""TensorFlow's harmless lines are dropped; all else arrives byte for byte."""

import os
import pty
import signal
import subprocess
import sys
import textwrap

import pytest

from axial_tf import log_filter

_TIME = b'2026-01-02 03:04:05.678901: '
_XLA = b'external/local_xla/xla/stream_executor/'
# As TensorFlow 2.15 and 2.20 write them.
_HARMLESS = (
    _TIME + b'E ' + _XLA + b'cuda/cuda_dnn.cc:9261] Unable to register cuDNN '
    b'factory: Attempting to register factory for plugin cuDNN when one has '
    b'already been registered',
    b'E0000 00:00:1795932546.264874    1729 cuda_blas.cc:1418] Unable to '
    b'register cuBLAS factory: Attempting to register factory for plugin '
    b'cuBLAS when one has already been registered',
    _TIME + b'E ' + _XLA + b'stream_executor_internal.h:177] SetPriority '
    b'unimplemented for this stream.',
    b'WARNING: All log messages before absl::InitializeLog() is called are '
    b'written to STDERR',
    b'I0000 00:00:1795932546.264874    1729 device_compiler.h:196] Compiled '
    b'cluster using XLA!  This line is logged at most once for the lifetime of '
    b'the process.',
    b'W0000 00:00:1795932546.264874    1729 computation_placer.cc:177] '
    b'computation placer already registered. Please check linkage and avoid '
    b'linking the same target more than once.',
    _TIME + b'E ' + _XLA + b'cuda/cuda_platform.cc:51] failed call to cuInit: '
    b'INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)',
    _TIME + b'E ' + _XLA + b'cuda/cuda_executor.cc:887] could not open file to '
    b'read NUMA node: /sys/bus/pci/devices/0000:01:00.0/numa_node',
    b'Your kernel may have been built without NUMA support.',
    _TIME + b'E tensorflow/core/util/util.cc:131] oneDNN supports DT_BOOL only '
    b'on platforms with AVX-512. Falling back to the default Eigen-based '
    b'implementation if present.',
    b'W0000 00:00:1795946060.109834   20019 op_level_cost_estimator.cc:699] '
    b'Error in PredictCost() for the op: op: "Softmax" attr { key: "T" value { '
    b'type: DT_FLOAT } } inputs { dtype: DT_FLOAT shape { unknown_rank: true } '
    b'}')
_ERRORS = (
    _TIME + b'E ' + _XLA + b'cuda/cuda_driver.cc:1] failed call to cuInit: '
    b'CUDA_ERROR_OUT_OF_MEMORY: out of memory',
    b'E0000 00:00:1795932546.264874    1729 cuda_dnn.cc:522] Loaded runtime '
    b'CuDNN library: 8.0 but source was compiled with: 9.3',
    b'W0000 00:00:1795932546.264874    1729 gpu_device.cc:1] Skipping '
    b'registering GPU devices',
    _TIME + b'F tensorflow/core/platform/env.cc:382] Check failed: 1 == 2',
    b'no time: SetPriority unimplemented for this stream.',
    b'\xff not UTF-8 \x1b[1m', b'')


def _program(body: str) -> list:
  return [sys.executable, '-c', 'import os, signal, sys, time\n'
          # A job in the background inherits that it is ignored.
          'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
          'from axial_tf import cli\ndef main():\n'
          + textwrap.indent(textwrap.dedent(body), '  ')
          + "\ncli.run(main, 'Writes.')"]


def _environment(level='2'):
  return {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': level}


def _run(body, level='2'):
  return subprocess.run(_program(body), capture_output=True, check=False,
                        env=_environment(level))


def _text(lines) -> bytes:
  return b''.join(line + b'\n' for line in lines)


@pytest.mark.parametrize('piece', [1, 7, 1000, 100_000])
def test_only_known_harmless_lines_are_dropped(piece):
  mixed = [line for pair in zip(_HARMLESS, _ERRORS * 2) for line in pair]
  text = _text(mixed) * 3 + _ERRORS[0]
  lines, shown = log_filter.Lines(), b''
  for start in range(0, len(text), piece):
    shown += lines.add(text[start:start + piece])
  kept = [line for line in mixed if line not in _HARMLESS]
  assert shown + lines.rest() == _text(kept) * 3 + _ERRORS[0]
  assert not lines.is_waiting


def test_an_unfinished_line_is_shown_once_and_ends_as_it_is():
  lines = log_filter.Lines()
  assert lines.add(b'50 %\r') == b'' and lines.rest() == b'50 %\r'
  assert lines.add(b'99 %') == b'99 %'
  # What follows on the same line is no line of TensorFlow's.
  assert lines.add(_HARMLESS[2] + b'\nb\n') == _HARMLESS[2] + b'\nb\n'
  assert lines.add(_HARMLESS[2] + b'\n') == b''
  assert lines.add(b'x' * 100_000) == b'x' * 100_000


@pytest.mark.parametrize('ending, status, last', [
    ('', 0, b''),
    ('os.abort()', -signal.SIGABRT, b'Fatal Python error: Aborted'),
    ('os._exit(7)', 7, b''),
    ('sys.exit(5)', 5, b''),
    ('os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)', 143, b''),
    ('os.kill(os.getpid(), signal.SIGINT); time.sleep(60)', 130,
     b'interrupted\n')])
def test_the_last_lines_arrive_however_a_program_ends(ending, status, last):
  text = _text(_HARMLESS + _ERRORS) + b'unfinished'
  done = _run(f'os.write(2, {text!r})\n{ending}')
  assert done.returncode == status
  # Python's own lines, such as those of a crash, take a shorter way.
  wanted = _text(_ERRORS) + b'unfinished'
  own = done.stderr.replace(wanted, b'')
  assert wanted in done.stderr
  assert own.startswith(last) and (b'Fatal' in last or own == last)


def test_ctrl_c_does_not_reach_the_filter():
  program = _program(f'''
      try:
        print('ready', flush=True)
        time.sleep(60)
      finally:
        os.write(2, {_text(_HARMLESS + _ERRORS)!r})
      ''')
  with subprocess.Popen(
      program, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      env=_environment(), start_new_session=True) as process:
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, shown = process.communicate(timeout=60)
  assert process.returncode == 130
  assert shown.replace(b'interrupted\n', b'') == _text(_ERRORS)


def test_other_programs_lines_are_filtered_and_not_waited_for():
  writing = f'import os; os.write(2, {_text(_HARMLESS + _ERRORS)!r})'
  done = _run(f'''
      import subprocess
      subprocess.run([sys.executable, '-c', {writing!r}], check=True)
      ''')
  assert (done.returncode, done.stderr) == (0, _text(_ERRORS))
  with subprocess.Popen(_program('''
      import subprocess
      subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL)
      '''), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
      env=_environment(), start_new_session=True) as process:
    assert process.wait(timeout=30) == 0
    os.killpg(process.pid, signal.SIGKILL)


def test_a_terminal_stays_one_for_progress_bars():
  terminal, end = pty.openpty()
  with subprocess.Popen(
      _program(f'''
          assert sys.stderr.isatty() and not os.isatty(2)
          os.write(2, {_HARMLESS[0]!r} + b'\\n')
          for part in ('1/2', '\\r2/2'):
            print(part, end='', file=sys.stderr)
          '''), stderr=end, env=_environment()) as process:
    os.close(end)
    shown = b''
    try:
      while True:
        shown += os.read(terminal, 1000)
    except OSError:
      pass  # The other end is closed.
  os.close(terminal)
  assert (process.returncode, shown) == (0, b'1/2\r2/2')


@pytest.mark.parametrize('level', ['0', '1'])
def test_who_asks_for_more_lines_gets_all(level):
  done = _run(f'os.write(2, {_text(_HARMLESS)!r})', level)
  assert done.stderr == _text(_HARMLESS)


@pytest.mark.parametrize('given, level', [
    ({}, b'2\n'), ({'TF_CPP_MIN_LOG_LEVEL': '3'}, b'3\n'),
    ({'TF_CONFIG': '{}'}, b'3\n')])
def test_tensorflow_shows_its_errors_unless_told_otherwise(given, level):
  environment = {name: value for name, value in os.environ.items()
                 if name not in ('TF_CPP_MIN_LOG_LEVEL', 'TF_CONFIG')}
  done = subprocess.run(
      _program("print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"), check=True,
      env={**environment, **given}, capture_output=True)
  assert (done.stdout, done.stderr) == (level, b'')


def test_a_command_that_another_one_starts_has_a_level_of_its_own():
  """One that imports TensorFlow at once would show lines before it filters."""
  code = "print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
  inner = f'import os; from axial_tf import cli; {code}'
  done = subprocess.run(
      _program('import subprocess; from axial_tf import cli; subprocess.run('
               f'[sys.executable, "-c", {inner!r}], env=cli.environment())'),
      check=True, capture_output=True, env={
          name: value for name, value in os.environ.items()
          if name not in ('TF_CPP_MIN_LOG_LEVEL', 'TF_CONFIG')})
  assert (done.stdout, done.stderr) == (b'3\n', b'')
