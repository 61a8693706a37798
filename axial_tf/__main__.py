"""Runs a command of the project by its name: `axial-tf train --help`.

`axial-tf NAME ...` is short for `python -m axial_tf.NAME ...`, or data_prep.
"""

import ast
import difflib
import os
import pathlib
import runpy
import sys

from axial_tf import version

# Modules by the names of commands, in the order of the work.
COMMANDS = {name.partition('.')[2].replace('.', '_'): name for name in (
    'axial_tf.demo',
    'data_prep.sample_digits',
    'data_prep.convert',
    'data_prep.inspect',
    'axial_tf.plan',
    'axial_tf.train',
    'axial_tf.data_service',
    'axial_tf.tune',
    'axial_tf.evaluate',
    'axial_tf.predict',
    'axial_tf.classify',
    'axial_tf.export',
    'axial_tf.export_heads',
    'axial_tf.app',
    'axial_tf.client',
    'axial_tf.import_weights',
    'axial_tf.count',
    'axial_tf.model_garden.train',
)}
_ROOT = pathlib.Path(__file__).resolve().parent.parent
_HELP = '''\
usage: axial-tf COMMAND [--option=value ...]

{commands}

  axial-tf COMMAND --help  describes a command, with examples
  axial-tf --version       prints the version

`python -m axial_tf.COMMAND` does the same as `axial-tf COMMAND`; of convert,
inspect and sample_digits, `python -m data_prep.COMMAND`; of model_garden_train,
`python -m axial_tf.model_garden.train`.'''


def main() -> None:
  """Runs the command that the program's first argument names."""
  name, *arguments = sys.argv[1:] or ['--help']
  if name in ('--help', '-h', '-help', 'help'):
    _print(_HELP.format(commands='\n'.join(
        f'  {name:<20}{_first_line(module)}'
        for name, module in COMMANDS.items())))
    return
  if name in ('--version', '-version'):
    _print(f'axial_tf {version.__version__}')
    return
  module = COMMANDS.get(name.replace('-', '_'))
  if module is None:
    near = difflib.get_close_matches(name, COMMANDS, 1)
    hint = f'did you mean {near[0]}?' if near else 'axial-tf --help lists them'
    sys.exit(f'error: expected a command, got {name!r}; {hint}')
  sys.argv = [module, *arguments]
  runpy.run_module(module, run_name='__main__', alter_sys=True)


def _first_line(module: str) -> str:
  """Returns the first line of a command's docstring, without importing it."""
  place = _ROOT.joinpath(*module.split('.'))
  path = place / '__main__.py' if place.is_dir() else place.with_suffix('.py')
  text = path.read_text(encoding='utf-8')
  return ast.get_docstring(ast.parse(text)).partition('\n')[0]


def _print(text: str) -> None:
  try:
    print(text, flush=True)
  except BrokenPipeError:  # `| head` has stopped reading.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == '__main__':
  main()
