"""BUILD files: globs leave out no Python file, deps are what is imported."""

import ast
import fnmatch
import pathlib

import pytest

from tests.packaging import rooms

_FOLDERS = ('axial_tf', 'data_prep', 'tests', 'benchmarks', 'tools')


@pytest.fixture(scope='module')
def targets(project_root):
  """Rule calls of all BUILD files, as dicts; sources from the root."""
  found = []
  for path in [project_root / 'BUILD', *(
      path for folder in _FOLDERS for path in (project_root / folder).rglob(
          'BUILD'))]:
    _run(path, project_root, found)
  return found


def _run(build_file: pathlib.Path, root: pathlib.Path, found: list) -> None:
  """Runs a BUILD file, which looks like Python, with stand-ins for rules."""
  folder = build_file.parent

  def glob(patterns, exclude=(), allow_empty=False):
    names = {path.relative_to(folder).as_posix()
             for pattern in patterns for path in folder.glob(pattern)
             if path.is_file()}
    assert names or allow_empty, (build_file, patterns)
    return sorted(name for name in names if not any(
        fnmatch.fnmatch(name, pattern) for pattern in exclude))

  def rule(name, srcs=(), deps=(), **_):
    found.append({
        'name': name, 'folder': folder.relative_to(root),
        'srcs': {(folder / source).relative_to(root) for source in srcs},
        'deps': {label.rpartition('/')[2].rpartition(':')[2]
                 for label in deps}})

  def nothing(*_, **__):
    pass

  exec(compile(build_file.read_text(), build_file, 'exec'), {
      'glob': glob, 'load': nothing, 'package': nothing,
      'exports_files': nothing, 'filegroup': nothing, 'py_library': rule,
      'py_binary': rule, 'py_test': rule})


def test_each_python_file_is_in_a_target(project_root, targets):
  files = {project_root / 'setup.py'}.union(
      *((project_root / folder).rglob('*.py') for folder in _FOLDERS))
  listed = set().union(*(target['srcs'] for target in targets))
  assert listed == {path.relative_to(project_root) for path in files}


def test_rooms_depend_on_what_they_import(project_root, targets):
  deps = {target['name']: target['deps'] for target in targets
          if target['folder'].parts[:1] == ('axial_tf',)}

  def needed(library):
    direct = deps.get(library, set())
    return direct.union({library}, *map(needed, direct))

  for room in rooms.ORDER:
    within_reach = needed(rooms.library_of(room))
    for path in rooms.files_of(room, project_root):
      for imported in rooms.imported(path):
        library = rooms.library_of(imported)
        assert library in within_reach, f'{path}: add {library} to the deps'


def test_commands_are_targets(project_root, targets):
  names = {target['name'] for target in targets}
  for path in (project_root / 'axial_tf').glob('*.py'):
    if "__name__ == '__main__'" in path.read_text(encoding='utf-8'):
      assert path.stem in names


@pytest.mark.parametrize(
    'name', ['requirements.lock', 'requirements-3.12.lock',
             'requirements-docs.lock'])
def test_locks_have_only_exact_pins(project_root, name):
  for line in (project_root / name).read_text().splitlines():
    assert line.startswith('#') or '==' in line, line


def test_third_party_labels_are_locked(project_root):
  locked = {
      line.partition('==')[0].lower().replace('-', '_').replace('.', '_')
      for line in (project_root / 'requirements.lock').read_text().splitlines()}
  labels = [
      node.value for node in ast.walk(
          ast.parse((project_root / 'BUILD').read_text()))
      if isinstance(node, ast.Constant) and str(node.value).startswith('@pypi')]
  assert len(labels) > 10
  assert {label.rpartition('/')[2] for label in labels} <= locked
