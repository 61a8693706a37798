"""Choices of a plan: what was measured, what was chosen, and why."""

import dataclasses
import textwrap
from typing import Any, List, Sequence, Tuple


@dataclasses.dataclass(frozen=True)
class Choice:
  """One line of the gin file and of the table.

  Attributes:
    name: macro or parameter that it sets.
    value: what it sets; a reference if it is a string that begins with @.
    measured: what it was chosen by.
    why: reason, in a few words.
  """

  name: str
  value: Any
  measured: str
  why: str

  def gin(self) -> str:
    """Returns the choice as gin, after a comment."""
    is_reference = isinstance(self.value, str) and self.value.startswith('@')
    value = self.value if is_reference else repr(self.value)
    return '\n'.join([*_comment(f'{self.measured}: {self.why}'),
                      f'{self.name} = {value}'])


@dataclasses.dataclass(frozen=True)
class Plan:
  """A planned experiment.

  Attributes:
    title: first lines of the file.
    includes: gin files that it includes.
    macros: macros without a choice, such as RECORDS, as (name, value).
    findings: choices that no single line of the file sets.
    choices: its choices, in the order of the file.
    constants: lines without a choice.
    warnings: what the data or the budget are too small for, and what only
      the user can know.
    train_seconds: predicted time of the training steps.
    total_seconds: the same with start and validations.
  """

  title: Sequence[str]
  includes: Sequence[str]
  macros: Sequence[Tuple[str, Any]]
  findings: Sequence[Choice]
  choices: Sequence[Choice]
  constants: Sequence[str]
  warnings: Sequence[str] = ()
  train_seconds: float = 0.0
  total_seconds: float = 0.0

  def gin(self) -> str:
    """Returns the text of the gin file."""
    parts = [
        '\n'.join(line for text in self.title for line in _comment(text)),
        '\n'.join(f"include '{name}'" for name in self.includes),
        '\n'.join(f'{name} = {value!r}' for name, value in self.macros),
        *(choice.gin() for choice in self.choices),
        '\n'.join(self.constants)]
    notes = [line for text in self.warnings for line in _comment(text)]
    if notes:
      parts.insert(1, '\n'.join(notes))
    return '\n\n'.join(parts) + '\n'

  def table(self) -> str:
    """Returns measured, chosen and why as text, then the warnings."""
    rows = [('measured', 'chosen', 'why')] + [
        (c.measured, f'{c.name} = {_short(c.value)}', c.why)
        for c in (*self.findings, *self.choices)]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    lines = [f'{a:{widths[0]}}  {b:{widths[1]}}  {c}' for a, b, c in rows]
    return '\n'.join([*lines, *(f'note: {text}' for text in self.warnings)])


def _short(value: Any) -> str:
  if isinstance(value, float):
    return f'{value:.3g}'
  if isinstance(value, tuple):
    return f'({", ".join(map(_short, value))})'
  return str(value)


def _comment(text: str) -> List[str]:
  return [f'# {line}' for line in textwrap.wrap(text, 78)] or ['#']
