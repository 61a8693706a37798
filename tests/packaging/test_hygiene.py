"""Machine paths, private APIs and wrong imports are not in the sources.

The allowed imports are those of `rooms`.
"""

import os
import re
import subprocess

import pytest

from tests.packaging import rooms

# Joined here so that this file passes its own test.
_MACHINE_PATHS = [
    f'/{folder}/' for folder in ('work', 'root', 'home', 'Users', 'opt')]


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


@pytest.fixture(scope='module')
def imports(project_root):
  """Source file of the two packages -> what it imports."""
  found = {}
  for package in ('axial_tf', 'data_prep'):
    for path in (project_root / package).rglob('*.py'):
      found[path.relative_to(project_root).as_posix()] = rooms.imports(path)
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
def test_names_path_distinguishes_absolute_from_relative(text, expected):
  assert any(_names_path(text, p.encode()) for p in _MACHINE_PATHS) == expected


def test_paths_that_documents_name_exist(project_root):
  named = 0
  for document in [*project_root.glob('*.md'), *project_root.glob('docs/*.md')]:
    for path in re.findall(
        r'`((?:axial_tf|data_prep|gin_configs|tests|benchmarks|tools)/[\w./]+)`',
        document.read_text(encoding='utf-8')):
      named += 1
      assert (project_root / path).exists(), f'{document.name} names {path}'
  assert named > 20


def test_only_public_api_is_used(imports, project_root):
  for file, names in imports.items():
    text = (project_root / file).read_text(encoding='utf-8')
    for name in names:
      parts = name.split('.')
      assert parts[0] != 'keras', f'{file}: {name}; use tf.keras'
      assert name.split('.')[:2] != ['tensorflow', 'python'], f'{file}: {name}'
      assert not any(part.startswith('_') and not part.startswith('__')
                     for part in parts), f'{file}: private {name}'
    for private in ('tensorflow.python', 'keras.src', 'tf.python.'):
      assert private not in text, f'{file} uses {private}'


@pytest.mark.parametrize('library, owner', [
    ('tensorflow_addons', 'axial_tf/training/optimizers.py'),
    ('gin', 'axial_tf/experiment/config.py'),
])
def test_one_module_imports_the_library(imports, library, owner):
  users = {
      file for file, names in imports.items()
      if any(name.split('.')[0] == library for name in names)}
  assert users == {owner}


def test_the_order_has_every_room(project_root):
  commands = {path.stem for path in (project_root / 'axial_tf').glob('*.py')
              if "__name__ == '__main__'" in path.read_text(encoding='utf-8')}
  found = {path.stem for path in (project_root / 'axial_tf').iterdir()
           if path.suffix == '.py' or (path / '__init__.py').exists()}
  assert found - commands - {'__init__'} == set(rooms.ORDER)


def test_imports_follow_the_data_flow(project_root):
  checked = 0
  for place, room in enumerate(rooms.ORDER):
    for path in rooms.files_of(room, project_root):
      imported = rooms.imported(path) - {room}
      assert imported <= set(rooms.ORDER[:place]), path
      checked += len(imported)
  assert checked > 200


def test_sub_rooms_of_data_do_not_import_each_other(project_root):
  data = project_root / 'axial_tf' / 'data'
  for own, others in (('common', ('panoptic', 'classification')),
                      ('panoptic', ('classification',)),
                      ('classification', ('panoptic',))):
    for path in (data / own).rglob('*.py'):
      for name in rooms.imports(path):
        assert not name.startswith(tuple(
            f'axial_tf.data.{other}.' for other in others)), f'{path}: {name}'


def test_data_prep_needs_no_models(project_root):
  floors = ('readers', 'engine', 'inspection')
  for path in (project_root / 'data_prep').rglob('*.py'):
    names = rooms.imports(path)
    imported = {rooms.room_of(name) for name in names} - {'', 'data_prep'}
    assert imported <= rooms.OF_DATA_PREP, path
    if path.parent.name in floors:
      above = floors[floors.index(path.parent.name) + 1:]
      assert not any(name.split('.')[:2] == ['data_prep', floor]
                     for name in names for floor in above), path


def test_commands_silence_tensorflow_before_they_load_it(project_root):
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
