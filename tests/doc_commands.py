"""Reads blocks of code from the documentation.

A block is fenced and has a language. A comment above it may say why no test
runs it, `<!-- not run: needs COCO -->`, or which one does, `<!-- run by
tests/test_x.py -->`; tests/test_docs.py runs all others.
"""

import os
import pathlib
import re
import subprocess
from typing import Dict, Iterator, List, NamedTuple, Tuple

# In place of the interpreter: notes its arguments, each before a zero byte.
# Programs that are not of this project do nothing.
_NOTING = '''
python() { printf '%s\\0' "$@" '' >> "$COMMANDS"; }
axial-tf() { python -m axial_tf "$@"; }
dask() { :; }; docker() { :; }; pip() { :; }; tensorboard() { :; }
curl() { cat > /dev/null; }
'''
# Languages of what is not code.
DATA = ('bibtex', 'json', 'text', 'yaml')


class Block(NamedTuple):
  """A block of code: language, text, and the comment above it, or ''."""
  language: str
  text: str
  note: str


def all_blocks(path: pathlib.Path) -> List[Block]:
  """Returns the fenced blocks of a page, in order."""
  return [
      Block(language, text, note) for note, language, text in re.findall(
          r'(?:^<!-- (.*?) -->\n)?^```(\w*)\n(.*?)^```$', path.read_text(),
          re.MULTILINE | re.DOTALL)]


def blocks(path: pathlib.Path) -> List[Tuple[str, str]]:
  """Returns language and text of each block that the page's test runs."""
  return [(block.language, block.text) for block in all_blocks(path)
          if not block.note and block.language not in DATA]


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
