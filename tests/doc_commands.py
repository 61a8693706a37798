"""Reads blocks of code from the documentation."""

import os
import pathlib
import re
import subprocess
from typing import Dict, Iterator, List, Tuple

# In place of the interpreter: notes its arguments, each before a zero byte.
_NOTING = '''
python() { printf '%s\\0' "$@" '' >> "$COMMANDS"; }
'''


def blocks(path: pathlib.Path) -> List[Tuple[str, str]]:
  """Returns language and text of each fenced block of code, in order."""
  return re.findall(
      r'^```(\w+)\n(.*?)^```', path.read_text(), re.MULTILINE | re.DOTALL)


def commands(block: str, folder: pathlib.Path, more: Dict[str, str]
             ) -> Iterator[List[str]]:
  """Yields the arguments of each call of Python, as the shell gives them.

  Args:
    block: commands of a shell; `make` is left out.
    folder: where they run.
    more: further arguments of commands, by a text that these contain.
  """
  text = ''.join(line for line in block.splitlines(keepends=True)
                 if not line.startswith('make '))
  for flag, arguments in more.items():
    text = re.sub(rf'({re.escape(flag)}\S*)', rf'\1 {arguments}', text)
  noted = folder.parent / 'commands'
  noted.write_bytes(b'')
  done = subprocess.run(
      ['bash', '-e', '-c', _NOTING + text], cwd=folder, capture_output=True,
      text=True, check=False, env={**os.environ, 'COMMANDS': str(noted)})
  assert done.returncode == 0 and not done.stderr, done.stderr
  for command in noted.read_text().split('\0\0')[:-1]:
    yield command.split('\0')
