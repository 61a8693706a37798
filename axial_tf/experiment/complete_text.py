"""Writes all settings of an experiment as gin text."""

import dataclasses
import re
from typing import Any, Iterator

from axial_tf.experiment import experiment

_FOLLOWING = (
    '# Settings that follow from the above, or that it leaves at their '
    f'defaults:\n# {"=" * 98}\n')


def of(settings: experiment.Experiment) -> str:
  """Returns gin text that recreates an experiment and names all its settings.

  Gin knows the parameters of what it makes. Groups of settings that no file
  refers to, and those of a network that is selected by its name, follow as
  comments: `# task.model.backbone.span = 65`.

  Args:
    settings: a parsed experiment.
  """
  following = '\n'.join(
      f'# {name} = {value!r}'
      for name, value in _following(settings, '', settings.operative_text))
  return settings.operative_text + (
      f'\n{_FOLLOWING}{following}\n' if following else '')


def _following(settings: Any, name: str, text: str) -> Iterator:
  """Yields dotted names and values of settings that gin text does not list."""
  is_listed = re.search(
      rf'^(\w+/)*{type(settings).__name__}\.', text, re.MULTILINE)
  for field in dataclasses.fields(settings):
    if not field.repr:  # The gin texts themselves.
      continue
    value = getattr(settings, field.name)
    inner = f'{name}.{field.name}'.lstrip('.')
    if dataclasses.is_dataclass(value):
      yield from _following(value, inner, text)
    elif not is_listed:
      yield inner, value
