"""Checks countable rules of plain English in docstrings, comments and docs.

  python tools/check_english.py

prints each line that breaks a rule of CONTRIBUTING.md, with the rule.
"""

import ast
import pathlib
import re
import subprocess
import sys
from typing import Iterator, Tuple

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_RULES = (
    (r'\.py$', r'^\s{4,}\*{0,2}\w+: (of|that|whose|for|in|with|at)\b',
     'an argument\'s doc is a noun phrase with a head: "height of the image"'),
    (r'\.py$', r'# Of\b', 'a comment is a phrase with a head or a sentence'),
    (r'\.(py|md|gin)$', r'\banew\b', '"again", or a verb with re-'),
    (r'\.(py|md|gin)$', r'\b[Ll]ikewise\b', '"also", or say the same in full'),
    (r'\.(py|md|gin)$', r'\b(spoil(s|ed|t)?|naught)\b', 'a term of the field'),
    (r'\.(py|md|gin)$', r'\bexplod(e|es|ed|ing)\b', '"diverge"'),
    (r'\.(py|md|gin)$', r'\b(go|goes|going|went) on\b',
     '"continue" or "resume"'),
    (r'\.(py|md|gin)$', r'\bby heart\b', '"overfit"'),
    (r'\.(py|md|gin)$', r'\bheld apart\b', '"held-out"'),
    (r'\.(py|md|gin)$', r'\b(made again|makes again)\b', '"recompute"'),
    (r'\.py$', r'\bof_(query|key|value|logits)\w*\s*[,=)]',
     'gradients are called grad_*'),
)
_QUESTION = re.compile(r'(What|Whether|How|Where|Which|Why)\b')


def main() -> int:
  files = subprocess.run(
      ['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
      cwd=_ROOT, check=True, capture_output=True, text=True).stdout.split('\n')
  found = 0
  for name in files:
    path = _ROOT / name
    if name.startswith('tests/fixtures/') or path == pathlib.Path(
        __file__).resolve() or not path.is_file():
      continue
    for line, rule in _broken(name, path):
      print(f'{name}:{line}: {rule}')
      found += 1
  return 1 if found else 0


def _broken(name: str, path: pathlib.Path) -> Iterator[Tuple[int, str]]:
  """Yields line number and rule of each rule that a file breaks."""
  rules = [(re.compile(pattern), rule) for ending, pattern, rule in _RULES
           if re.search(ending, name)]
  if not rules:
    return
  text = path.read_text(encoding='utf-8')
  for number, line in enumerate(text.splitlines(), 1):
    for pattern, rule in rules:
      if pattern.search(line):
        yield number, rule
  if name.endswith('.py') and not name.startswith('tests/'):
    if _QUESTION.match(ast.get_docstring(ast.parse(text)) or ''):
      yield 1, 'a module\'s docstring says what it does: "Reads ..."'


if __name__ == '__main__':
  sys.exit(main())
