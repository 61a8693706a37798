"""What must not be in the sources: machine paths, private APIs, wrong imports.

The directions are those of the data's way through the project: a package
imports from the packages before it and from the pure functions of panoptic.
"""

import ast
import os
import re
import subprocess

import pytest

# Joined here so that this file passes its own test.
_MACHINE_PATHS = [
    f'/{folder}/' for folder in ('work', 'root', 'home', 'Users', 'opt')]

_BASICS = {'errors', 'json_files', 'paths', 'settings', 'text_files'}
# Package of axial_tf -> the other packages and modules it may import from.
_ALLOWED = {
    'errors': set(),
    'json_files': {'errors', 'text_files'},
    'optional_imports': {'errors'},
    'paths': {'errors'},
    'process_identity': set(),
    'run_files': set(),
    'folder_lock': _BASICS | {'process_identity'},
    'settings': _BASICS,
    'cli': _BASICS,
    'text_files': {'errors'},
    'layers': _BASICS,
    'panoptic': _BASICS,
    'data': _BASICS | {'image_decoding', 'panoptic'},
    'models': _BASICS | {'data', 'layers', 'panoptic'},
    # The writers of result files.
    'evaluation': _BASICS | {'data', 'panoptic', 'whole_files'},
    # A task builds its optimizer; the run itself (training.run) builds tasks.
    'tasks': _BASICS | {
        'data', 'evaluation', 'models', 'panoptic', 'run_files', 'training'},
    'version': set(),
    'whole_files': _BASICS,
    'exif': set(),
    'image_decoding': {'exif'},
    'images': _BASICS | {'exif'},
    # The picture of errors counts overlaps as the metrics do.
    'visualize': _BASICS | {'data', 'evaluation', 'images', 'whole_files'},
    # The inspection of records draws them.
    'data_prep': _BASICS | {
        'beam_runner', 'cli', 'data', 'folder_lock', 'image_decoding',
        'images', 'optional_imports', 'panoptic', 'version', 'visualize',
        'whole_files'},
}


@pytest.fixture(scope='module')
def project_files(project_root):
  """Files that are tracked, or would be: neither ignored nor deleted."""
  if (project_root / '.git').exists():
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '--cached', '--others',
         '--exclude-standard'],
        cwd=project_root, check=True, capture_output=True).stdout
    names = os.fsdecode(listed).strip('\0').split('\0')
    files = [project_root / name for name in names]
  else:
    files = [
        path for path in project_root.rglob('*')
        if not {'.venv', '__pycache__', 'build'} & set(path.parts)]
  return [path for path in files if path.is_file()]


def _imports(path):
  """Dotted names that a file imports; `from a import b` gives `a.b`."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      names |= {f'{node.module}.{alias.name}' for alias in node.names}
  return names


@pytest.fixture(scope='module')
def imports(project_root):
  """Source file of the two packages -> what it imports."""
  found = {}
  for package in ('axial_tf', 'data_prep'):
    for path in (project_root / package).rglob('*.py'):
      found[path.relative_to(project_root).as_posix()] = _imports(path)
  return found


def test_no_file_names_a_path_of_some_machine(project_root, project_files):
  assert len(project_files) > 50
  for path in project_files:
    content = path.read_bytes()
    for machine_path in _MACHINE_PATHS:
      assert not _names_path(content, machine_path.encode()), (
          f'{path.relative_to(project_root)} names {machine_path}')


def _names_path(content: bytes, machine_path: bytes) -> bool:
  """Whether the path occurs as an absolute one, not inside a longer path."""
  start = content.find(machine_path)
  while start >= 0:
    before = content[start - 1:start]
    if not before.isalnum() and before not in (b'.', b'_', b'-', b'~', b'}'):
      return True
    start = content.find(machine_path, start + 1)
  return False


@pytest.mark.parametrize('text, expected', [
    (b"open('/wo" b"rk/x')", True),
    (b'/ho' b'me/me', True),
    (b'docs/ho' b'me/index.md', False),
    (b'~/wo' b'rk/x', False),
])
def test_names_path_tells_absolute_from_relative(text, expected):
  assert any(_names_path(text, p.encode()) for p in _MACHINE_PATHS) == expected


def test_only_public_api_is_used(imports, project_root):
  for file, names in imports.items():
    text = (project_root / file).read_text(encoding='utf-8')
    for name in names:
      parts = name.split('.')
      assert parts[0] != 'keras', f'{file}: {name}; use tf.keras'
      assert name.split('.')[:2] != ['tensorflow', 'python'], f'{file}: {name}'
      assert not any(part.startswith('_') and part != '__future__'
                     for part in parts), f'{file}: private {name}'
    for private in ('tensorflow.python', 'keras.src', 'tf.python.'):
      assert private not in text, f'{file} uses {private}'


@pytest.mark.parametrize('library, owner', [
    ('tensorflow_addons', 'axial_tf/training/optimizers.py'),
    ('gin', 'axial_tf/config.py'),
])
def test_one_module_imports_the_library(imports, library, owner):
  users = {
      file for file, names in imports.items()
      if any(name.split('.')[0] == library for name in names)}
  assert users == {owner}


def test_imports_follow_the_way_of_the_data(imports):
  checked = 0
  for file, names in imports.items():
    importer = _package(file[:-len('.py')].replace('/', '.'))
    if importer not in _ALLOWED:
      continue
    for name in names:
      imported = _package(name)
      if imported and imported != importer:
        checked += 1
        assert imported in _ALLOWED[importer], f'{file} imports {name}'
  assert checked > 20


def _package(name: str) -> str:
  """'layers' for axial_tf.layers.x; 'data_prep'; '' for other projects."""
  parts = name.split('.')
  if parts[0] == 'axial_tf':
    return parts[1] if len(parts) > 1 else 'axial_tf'
  return 'data_prep' if parts[0] == 'data_prep' else ''


def test_tools_quiet_tensorflow_before_they_load_it(project_root):
  """`cli` sets its log level, which holds only if it is imported first."""
  tools = 0
  for package in ('axial_tf', 'data_prep'):
    for path in (project_root / package).rglob('*.py'):
      text = path.read_text(encoding='utf-8')
      if 'cli.run(' in text and path.name != 'cli.py':
        tools += 1
        loads = re.search(r'^(import|from) tensorflow', text, re.MULTILINE)
        assert not loads, f'{path}: load it in the functions that need it'
  assert tools > 10
