"""Estimates what our programs cost on TPUs and GPUs, without such a device.

Each program is compiled ahead of time for the chip, by libtpu for a TPU v5e or
v5p and by jax[cuda12] for an H100, and read from the compiler's output. All
figures are estimates: the time, temporary memory in MB, traffic of the main
memory (HBM) in GB, and the share of the matrix units' peak that the products
of the program need in that time. The time on TPUs is the sum of the compiler's
own estimates of all kernels; for GPUs it makes none, and the time is that of
the traffic and of the products, one after the other, at the card's peaks.

JAX runs in an environment of its own, as it needs other packages than
TensorFlow. Without --jax_python, it is made in build/jax by python3.12. The
programs (of export_hlo) and results are kept in --output_dir, where an
interrupted run resumes; after a change of the code, give another folder.

  python benchmarks/ahead_of_time.py --chips=v5e --cases=stage_2_infer
  python benchmarks/ahead_of_time.py            # all: hours, and 16 GB
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any, Dict, List, Optional

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors
from benchmarks import hlo_compiler

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_CASES = {
    **{f'stage_{stage}_{work}': f'layer of stage {stage}, {title}'
       for work, title in (('infer', 'inference'), ('train', 'training step'))
       for stage in (2, 3, 4, 5)},
    'resnet_s_224_infer': 'Axial-ResNet-S, 224, 64, inference',
    'resnet_s_224_train': 'Axial-ResNet-S, 224, 64, training step',
    'deeplab_s_1025_infer': 'Axial-DeepLab-S, 1025, 1, inference',
    'deeplab_s_1025_train': 'Axial-DeepLab-S, 1025, 1, training step',
    'whole': 'coco_axial_deeplab_s.gin, 1025, 2, whole training step with '
             "recompute='axial'",
    'whole_kept': 'coco_axial_deeplab_s.gin, 1025, 2, whole training step',
    'enlarge': 'heatmap of centers, from 257 to 1025, 2, with its gradient',
}
# Columns; on TPUs, ours has chunks of another size.
_KINDS = {'published': 'published', 'ours': 'ours',
          'ours_bf16': 'ours, bfloat16'}
_REQUIREMENTS = ['jax[cuda12]==0.12.0.1', 'libtpu==0.0.52']
_COMPILE = ('import sys; from benchmarks import hlo_compiler; '
            'hlo_compiler.main(sys.argv[1:])')

_CHIPS = flags.DEFINE_list('chips', list(hlo_compiler.CHIPS), 'Chips.')
_CHOSEN = flags.DEFINE_list('cases', list(_CASES), 'Rows of the table.')
_OUTPUT_DIR = cli.define_path(
    'output_dir', str(_ROOT / 'build' / 'ahead_of_time'),
    'folder of programs and results.', local=True)
_JAX_PYTHON = cli.define_path(
    'jax_python', None, 'Python 3.12 with JAX; default: build/jax/bin/python.')
_TIME_LIMIT = flags.DEFINE_integer(
    'time_limit', 1800, 'Seconds that a program may take to compile.',
    lower_bound=1)
_RETRY = flags.DEFINE_bool('retry', False, 'Whether to repeat what failed.')


def find_jax(python: Optional[str]) -> Optional[str]:
  """Returns an interpreter that has JAX, or None.

  Args:
    python: interpreter to use; None makes build/jax if it is missing.
  """
  folder = _ROOT / 'build' / 'jax'
  chosen = python or str(folder / 'bin' / 'python')
  if python is None and not os.path.exists(chosen):
    print(f'Installing JAX into {folder} (minutes, 5 GB)', file=sys.stderr)
    if not (_succeeds('python3.12', '-m', 'venv', str(folder)) and _succeeds(
        chosen, '-m', 'pip', 'install', '--quiet', *_REQUIREMENTS)):
      shutil.rmtree(folder, ignore_errors=True)
  modules = 'jax, jax_plugins.xla_cuda12, libtpu'
  return chosen if _succeeds(chosen, '-c', f'import {modules}') else None


def _succeeds(*command: str) -> bool:
  try:
    return subprocess.run(command, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0
  except OSError:
    return False


def estimate(chip: str, case: str, kind: str, python: str) -> Dict[str, Any]:
  """Returns what a program costs, or {'failure': a few words}."""
  if chip != 'h100':
    kind = kind.replace('ours', 'ours_tpu')
  folder = pathlib.Path(_OUTPUT_DIR.value)
  program = folder / f'{case}.{kind}.hlo'
  if not program.exists():
    done = _run([sys.executable, str(_ROOT / 'benchmarks' / 'export_hlo.py'),
                 f'--output_dir={folder}', f'--cases={case}',
                 f'--kinds={kind}'])
    if 'failure' in done:
      return done
  precision = 'bfloat16' if kind.endswith('bf16') else 'float32'
  return _run([python, '-c', _COMPILE, chip, precision, str(program)])


def _run(command: List[str]) -> Dict[str, Any]:
  """Runs a process within the time limit; returns its last line, if JSON."""
  try:
    done = subprocess.run(
        command, env={**os.environ, 'PYTHONPATH': str(_ROOT)},
        capture_output=True, text=True, timeout=_TIME_LIMIT.value)
  except subprocess.TimeoutExpired:
    return {'failure': f'over {_TIME_LIMIT.value} s'}
  last = (done.stdout.splitlines() or [''])[-1]
  found = json.loads(last) if last.startswith('{') else {}
  if done.returncode:
    found = {'failure': 'fails'}  # such as a process killed for its memory
  if 'failure' in found:
    print('  ' + ' '.join(done.stderr.split())[-500:], file=sys.stderr)
  return found


def table(results: Dict[str, Any], chip: str, cases: List[str]) -> str:
  """Returns the rows of a chip, in Markdown.

  Args:
    results: by 'chip case kind', figures or a failure.
    chip: name in CHIPS.
    cases: names of the rows.
  """
  lines = [f'| {chip}: estimated ms, MB, GB of traffic, matrix units | '
           + ' | '.join(_KINDS.values()) + ' |', '|---' * 4 + '|']
  for case in cases:
    cells = [_cell(results.get(f'{chip} {case} {kind}')) for kind in _KINDS]
    lines.append(f'| {_CASES[case]} | ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines)


def _cell(found: Optional[Dict[str, Any]]) -> str:
  if found is None:
    return '-'
  if 'failure' in found:
    return found['failure']
  milliseconds, gigabytes = 1e3 * found['seconds'], found['traffic'] / 1e9
  return (f'{milliseconds:.3g}, {found["temporary"] / 1e6:.0f}, '
          f'{gigabytes:.3g}, {100 * found["use"]:.2g} %')


def _write(path: pathlib.Path, text: str) -> None:
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix('.tmp').write_text(text)
    os.replace(path.with_suffix('.tmp'), path)
  except OSError as error:
    raise errors.UserError(
        f'--output_dir: {error}; give a folder that can be written') from error


def main():
  cli.require_known('chips', _CHIPS.value, list(hlo_compiler.CHIPS))
  cli.require_known('cases', _CHOSEN.value, list(_CASES))
  python = find_jax(_JAX_PYTHON.value)
  if python is None:
    packages = ' '.join(f"'{package}'" for package in _REQUIREMENTS)
    print(f'skipped: {_JAX_PYTHON.value or "build/jax"} has no JAX for TPUs '
          f'and GPUs; install Python 3.12 and run: python3.12 -m venv '
          f'build/jax && build/jax/bin/pip install {packages}')
    return
  path = pathlib.Path(_OUTPUT_DIR.value, 'results.json')
  results = json.loads(path.read_text()) if path.exists() else {}
  for chip in _CHIPS.value:
    for case in _CHOSEN.value:
      for kind in ['ours_bf16'] if case.startswith('whole') else _KINDS:
        key = f'{chip} {case} {kind}'
        if key in results and not (
            _RETRY.value and 'failure' in results[key]):
          continue
        print(f'{key} ...', file=sys.stderr, flush=True)
        results[key] = estimate(chip, case, kind, python)
        _write(path, json.dumps(results, indent=1))
        print(f'  {_cell(results[key])}', file=sys.stderr, flush=True)
    print(table(results, chip, _CHOSEN.value) + '\n', flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
