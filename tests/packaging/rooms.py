"""The rooms of the project, from the bottom up, and who imports whom."""

import ast
import pathlib
from typing import Iterator, Set

# A room, a module or folder of axial_tf, imports only from those before it.
# The order is that of the data flow: from files to records, models, metrics,
# runs, predictions and servers.
ORDER = (
    'version', 'errors', 'optional_imports', 'keras2', 'files', 'settings',
    'cluster', 'devices', 'versions', 'memory', 'unfolded', 'log_filter',
    'cli', 'panoptic', 'specs', 'layers', 'models', 'data', 'inference',
    'evaluation', 'training', 'visualize', 'tasks', 'experiment', 'planning',
    'tuning', 'prediction', 'export', 'app', 'client', 'weights',
    'model_garden', 'serving')
# data_prep is independent of the models: it needs only the record schema.
OF_DATA_PREP = {
    'errors', 'version', 'optional_imports', 'keras2', 'files', 'settings',
    'cluster', 'log_filter', 'cli', 'panoptic', 'specs', 'data',
    'visualize'}
_PLUMBING = (
    'settings', 'devices', 'versions', 'memory', 'unfolded', 'log_filter',
    'cli')
_BASE = ('version', 'errors', 'optional_imports', 'keras2')


def room_of(name: str) -> str:
  """Returns 'layers' for axial_tf.layers.x, 'data_prep', '' for libraries."""
  parts = name.split('.')
  if parts[0] == 'axial_tf':
    return parts[1] if len(parts) > 1 else ''
  return 'data_prep' if parts[0] == 'data_prep' else ''


def library_of(room: str) -> str:
  """Returns the BUILD target that a room belongs to."""
  if room in _BASE:
    return 'base'
  return 'plumbing' if room in _PLUMBING else room


def files_of(room: str, root: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields the Python files of a room of axial_tf."""
  path = root / 'axial_tf' / room
  yield from ([path.with_suffix('.py')] if path.with_suffix('.py').exists()
              else path.rglob('*.py'))


def imported(path: pathlib.Path) -> Set[str]:
  """Returns the rooms of axial_tf, and data_prep, that a file imports."""
  return {room_of(name) for name in imports(path)} - {''}


def imports(path: pathlib.Path) -> Set[str]:
  """Returns dotted names of imports; `from a import b` gives `a.b`."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      names |= {f'{node.module}.{alias.name}' for alias in node.names}
  return names
