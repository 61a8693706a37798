"""BUILD files agree with the sources; read without the generator's help."""

import ast
import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

_FOLDERS = ('axial_tf', 'data_prep', 'tests', 'benchmarks', 'tools')
_RULES = ('py_binary', 'py_library', 'py_test')
_HINT = 'run `make build-files`'


@pytest.fixture(scope='module')
def sources(project_root):
  """Every Python file of the project, relative to the root."""
  files = [project_root / 'setup.py']
  for folder in _FOLDERS:
    files += (project_root / folder).rglob('*.py')
  return {path.relative_to(project_root) for path in files}


@pytest.fixture(scope='module')
def targets(project_root):
  """Full label -> its rule, folder and attributes, for all Python rules."""
  folders = ['.', *_FOLDERS]
  build_files = [project_root / 'BUILD']
  for folder in folders[1:]:
    build_files += (project_root / folder).rglob('BUILD')
  found = {}
  for build_file in build_files:
    folder = build_file.parent.relative_to(project_root)
    for node in ast.parse(build_file.read_text()).body:
      call = getattr(node, 'value', None)
      if isinstance(call, ast.Call) and call.func.id in _RULES:
        target = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
        target.update(rule=call.func.id, folder=folder)
        label = _full_label(':' + target['name'], folder)
        assert label not in found, f'two targets {label}'
        found[label] = target
  return found


def _full_label(label, folder):
  package = '' if folder == pathlib.Path('.') else folder.as_posix()
  if label.startswith(':'):
    return f'//{package}{label}'
  return label if ':' in label else f'{label}:{label.rsplit("/", 1)[-1]}'


def _file_of(target):
  (source,) = target['srcs']
  return target['folder'] / source


def _imported_names(path, sources):
  """Yields each import as candidates, from the longest dotted name on."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from ([alias.name] for alias in node.names)
    if isinstance(node, ast.ImportFrom):
      yield from (
          [f'{node.module}.{alias.name}', node.module] for alias in node.names)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
      # A module that is run with `python -m` or loaded on first use.
      if (re.fullmatch(r'\w+(\.\w+)+', node.value)
          and pathlib.Path(node.value.replace('.', '/') + '.py') in sources):
        yield [node.value]


def _project_file(name, sources):
  path = pathlib.Path(*name.split('.'))
  for candidate in (path.with_suffix('.py'), path / '__init__.py'):
    if candidate in sources:
      return candidate
  return None


@pytest.fixture(scope='module')
def providers():
  """Top-level import name -> @pypi labels of what is installed under it."""
  found = {}
  for distribution in importlib.metadata.distributions():
    name = re.sub(r'[-_.]+', '_', distribution.metadata['Name']).lower()
    for file in distribution.files or ():
      top = file.parts[0].split('.')[0]
      found.setdefault(top, set()).add(f'@pypi//{name}:{name}')
  # cityscapesscripts brings an old copy; Python's own module comes before it.
  found.pop('typing', None)
  return found


def test_each_python_file_is_in_exactly_one_target(sources, targets):
  listed = [_file_of(target) for target in targets.values()]
  assert len(set(listed)) == len(listed)
  assert set(listed) == sources, _HINT


def test_rules_fit_the_files(project_root, targets):
  for label, target in targets.items():
    path = _file_of(target)
    guarded = re.search(
        r"^if __name__ == ['\"]__main__['\"]:",
        (project_root / path).read_text(), re.MULTILINE)
    expected = ('py_test' if path.name.startswith('test_')
                else 'py_binary' if guarded else 'py_library')
    assert target['rule'] == expected, f'{label}: {_HINT}'


def test_deps_are_the_imports(project_root, sources, targets, providers):
  label_of = {_file_of(target): label for label, target in targets.items()}
  for label, target in targets.items():
    deps = {_full_label(d, target['folder']) for d in target.get('deps', ())}
    expected, external = set(), set()
    for names in _imported_names(project_root / _file_of(target), sources):
      files = [f for f in (_project_file(n, sources) for n in names) if f]
      if files:
        assert files[0] in label_of, f'no target for {files[0]}: {_HINT}'
        expected.add(label_of[files[0]])
      elif names[-1].split('.')[0] in providers:
        external.add(names[-1].split('.')[0])
    if target['rule'] == 'py_test':
      external.add('pytest')
      expected |= {
          label_of[folder / 'conftest.py']
          for folder in _file_of(target).parents
          if folder / 'conftest.py' in sources}
    assert {d for d in deps if d[0] == '/'} == expected - {label}, (
        f'{label}: {_HINT}')
    # A top-level name may come from several distributions; one must be there,
    # and nothing beyond what provides the imports.
    packages = {d for d in deps if d[0] == '@'}
    allowed = set().union(*(providers[name] for name in external))
    assert packages <= allowed, f'{label}: {_HINT}'
    for name in external:
      assert packages & providers[name], f'{label} imports {name}: {_HINT}'


def test_labels_lead_to_targets_and_the_graph_has_no_cycle(targets):
  graph = {
      label: {
          _full_label(dep, target['folder'])
          for dep in target.get('deps', ()) if not dep.startswith('@')}
      for label, target in targets.items()}
  assert set().union(*graph.values()) <= set(graph)
  pruned = None
  while pruned != graph:  # Drops what leads nowhere or is led to by nothing.
    pruned = graph
    reached = set().union(*graph.values())
    graph = {
        label: deps & set(graph) for label, deps in graph.items()
        if deps & set(graph) and label in reached}
  assert not graph, f'import cycle among {sorted(graph)}'


def test_third_party_labels_are_locked(project_root, targets):
  lock = (project_root / 'requirements.lock').read_text()
  locked = {
      re.sub(r'[-_.]+', '_', name).lower()
      for name in re.findall(r'^([\w.-]+)==\S+$', lock, re.MULTILINE)}
  assert len(locked) > 50
  for label, target in targets.items():
    for dep in target.get('deps', ()):
      if dep.startswith('@'):
        assert dep.replace('@pypi//', '') in locked, f'{label}: {dep}'


def test_lock_has_only_exact_pins(project_root):
  for line in (project_root / 'requirements.lock').read_text().splitlines():
    assert line.startswith('#') or re.fullmatch(r'[\w.-]+==[\w.+]+', line), line


def _generate(project_root, root):
  return subprocess.run(
      [sys.executable, project_root / 'tools' / 'generate_build.py', root],
      text=True, capture_output=True)


def test_generator_reproduces_the_files_here(project_root, sources, tmp_path):
  for path in sources:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(project_root / path, tmp_path / path)
  done = _generate(project_root, tmp_path)
  assert done.returncode == 0, done.stderr
  for folder in {path.parent for path in sources}:
    written = (tmp_path / folder / 'BUILD').read_text()
    assert (project_root / folder / 'BUILD').read_text() == written, _HINT


@pytest.mark.parametrize('line, message', [
    ('import nonexistent_library', "import 'nonexistent_library'"),
    ('from axial_tf import missing', "provides 'axial_tf'"),
    ('from . import sibling', 'relative import'),
])
def test_generator_names_an_import_it_cannot_place(
    project_root, tmp_path, line, message):
  (tmp_path / 'axial_tf').mkdir()
  (tmp_path / 'axial_tf' / 'module.py').write_text(f'import os\n{line}\n')
  done = _generate(project_root, tmp_path)
  assert done.returncode == 1
  (printed,) = done.stderr.splitlines()
  assert 'axial_tf/module.py:2' in printed and message in printed
