"""Writes the BUILD files from the imports of the Python files beside them.

Run by `make build-files` after adding a module or an import. Each Python file
becomes one target named after it (an `__init__.py` is named after its folder):
a py_test when its name starts with `test_`, a py_binary when it has a main
guard, else a py_library. A module named in a string, to be run or loaded
later, counts as imported. A file's package `__init__` is no dependency of it:
Bazel makes empty ones, and package files that re-export would form cycles.

Usage: python tools/generate_build.py [project root]
"""

import ast
import importlib.util
import pathlib
import sys
import sysconfig

_SOURCE_FOLDERS = ('axial_tf', 'data_prep', 'tests', 'benchmarks', 'tools')

# Import name -> the distribution that provides it, as @pypi spells it.
_DISTRIBUTIONS = {
    'PIL': 'pillow',
    'absl': 'absl_py',
    'apache_beam': 'apache_beam',
    'cityscapesscripts': 'cityscapesscripts',
    'gin': 'gin_config',
    'google.protobuf': 'protobuf',
    'grpc': 'grpcio',
    'hotcoco': 'hotcoco',
    'hypothesis': 'hypothesis',
    'matplotlib': 'matplotlib',
    'numpy': 'numpy',
    'onnx': 'onnx',
    'onnxruntime': 'onnxruntime',
    'official': 'tf_models_official',
    'orbit': 'tf_models_official',
    'panopticapi': 'panopticapi_lite',
    'psutil': 'psutil',
    'pycocotools': 'pycocotools',
    'pytest': 'pytest',
    'scipy': 'scipy',
    'setuptools': 'setuptools',
    'sklearn': 'scikit_learn',
    'tensorflow': 'tensorflow',
    'tensorflow_addons': 'tensorflow_addons',
    'tensorflow_datasets': 'tensorflow_datasets',
    'tensorflow_serving': 'tensorflow_serving_api',
    'tf2onnx': 'tf2onnx',
    'tqdm': 'tqdm',
}

# Files that a module opens at run time.
_DATA = {
    'axial_tf/config.py': ['//gin_configs'],
    'axial_tf/data/dataset_spec.py': [':specs'],
}

# What a folder's BUILD file holds besides its Python targets.
_EXTRA_TEXT = {
    '.': 'exports_files(["LICENSE", "pyproject.toml", "requirements.lock"])',
    'axial_tf/data': (
        'filegroup(\n'
        '    name = "specs",\n'
        '    srcs = glob(["specs/*.json"]),\n'
        ')'),
}

_PUBLIC = ('axial_tf', 'data_prep')


class BuildError(Exception):
  """A Python file that cannot be turned into a target."""


def find_sources(root: pathlib.Path) -> list:
  """All Python files that get a target, as paths relative to `root`."""
  found = [root / 'setup.py'] if (root / 'setup.py').exists() else []
  for folder in _SOURCE_FOLDERS:
    found += (root / folder).rglob('*.py')
  return sorted(path.relative_to(root) for path in found)


def dotted_name(path: pathlib.Path) -> str:
  """The name under which a source file is imported."""
  parts = path.with_suffix('').parts
  return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def label(path: pathlib.Path) -> str:
  """The full label of a source file's target."""
  folder = '' if path.parent == pathlib.Path('.') else path.parent.as_posix()
  return f'//{folder}:{_target_name(path)}'


def _target_name(path: pathlib.Path) -> str:
  return path.parent.name if path.stem == '__init__' else path.stem


def dependencies(path: pathlib.Path, tree: ast.AST, modules: dict) -> set:
  """Labels of what a file imports; `modules` maps dotted names to files.

  Raises:
    BuildError: an import is relative or of unknown origin.
  """
  labels = set()
  for node in ast.walk(tree):
    where = f'{path}:{getattr(node, "lineno", 0)}'
    if isinstance(node, ast.Import):
      for alias in node.names:
        labels.add(_resolve([alias.name], modules, where))
    elif isinstance(node, ast.ImportFrom):
      if node.level:
        raise BuildError(f'{where}: relative import; write the full name')
      for alias in node.names:
        # `from package import name`: a module of the project or an attribute.
        names = [f'{node.module}.{alias.name}', node.module]
        labels.add(_resolve(names, modules, where))
    elif isinstance(node, ast.Constant) and node.value in modules:
      named = modules[node.value]
      if '.' in node.value and named.name != '__init__.py':
        labels.add(label(named))
  return labels - {None, label(path)}


def _resolve(names: list, modules: dict, where: str):
  """Label of the first name that is known; None for the standard library."""
  for name in names:
    if name in modules:
      return label(modules[name])
  top = names[-1].split('.')[0]
  if top in _SOURCE_FOLDERS:
    raise BuildError(f'{where}: no file of the project provides {names[-1]!r}')
  for name in names + [top]:
    if name in _DISTRIBUTIONS:
      return f'@pypi//{_DISTRIBUTIONS[name]}'
  if _is_standard(top):
    return None
  raise BuildError(
      f'{where}: no distribution known for import {top!r}; add it to '
      f'_DISTRIBUTIONS in tools/generate_build.py and to setup.py')


def _is_standard(name: str) -> bool:
  spec = importlib.util.find_spec(name)
  origin = (spec.origin or '') if spec else ''
  return origin in ('built-in', 'frozen') or (
      origin.startswith(sysconfig.get_path('stdlib'))
      and 'site-packages' not in origin)


def _has_main_guard(tree: ast.Module) -> bool:
  return any(
      isinstance(node, ast.If) and '__name__' in ast.dump(node.test)
      for node in tree.body)


def describe_target(path: pathlib.Path, root: pathlib.Path, modules: dict):
  """Returns (rule, attributes) of the target of one Python file."""
  text = (root / path).read_text(encoding='utf-8')
  tree = ast.parse(text, str(path))
  deps = dependencies(path, tree, modules)
  attributes = {'name': _target_name(path), 'srcs': [path.name]}
  data = list(_DATA.get(path.as_posix(), []))
  rule = 'py_binary' if _has_main_guard(tree) else 'py_library'
  if path.name.startswith('test_'):
    rule = 'py_test'
    for folder in path.parents:
      if folder / 'conftest.py' in modules.values():
        deps.add(label(folder / 'conftest.py'))
    deps.add('@pypi//pytest')
    data.append('//:pyproject.toml')
    attributes['main_module'] = 'pytest'
    attributes['args'] = [
        '-p', 'no:cacheprovider', f'$(location {path.name})']
    if 'mark.slow' in text:
      attributes['args'] += ['-m', "'slow or not slow'"]
      attributes['timeout'] = 'eternal'
    if path.parts[:2] == ('tests', 'packaging'):
      # They examine the source tree itself, which Bazel's sandbox lacks.
      attributes['tags'] = ['manual']
  elif path.parts[0] == 'tests':
    attributes['testonly'] = True
  if data:
    attributes['data'] = _sorted_labels(data, path.parent)
  if deps:
    attributes['deps'] = _sorted_labels(deps, path.parent)
  return rule, attributes


def _sorted_labels(labels, folder: pathlib.Path) -> list:
  """Shortens labels as seen from `folder`; own ones first, @pypi last."""
  short = []
  for item in labels:
    package, _, name = item.partition(':')
    if package == f'//{folder.as_posix()}'.replace('//.', '//'):
      item = f':{name}'
    elif package.rsplit('/', 1)[-1] == name:
      item = package
    short.append(item)
  return sorted(
      short, key=lambda s: ((':', '/', '@').index(s[0]), s.split(':')))


def _attribute_rank(item):
  """Sorts attributes in buildifier's order."""
  first = ('name', 'timeout', 'testonly', 'srcs')
  key = item[0]
  if key in first:
    return (0, first.index(key), key)
  return (2 if key == 'deps' else 1, 0, key)


def _format_value(value) -> str:
  if isinstance(value, list) and len(value) > 1:
    items = ''.join(f'        {_format_value(v)},\n' for v in value)
    return f'[\n{items}    ]'
  if isinstance(value, list):
    return f'[{_format_value(value[0])}]'
  return str(value) if isinstance(value, bool) else f'"{value}"'


def format_build_file(folder: pathlib.Path, targets: list) -> str:
  """The text of one folder's BUILD file, laid out as buildifier does."""
  rules = ', '.join(f'"{rule}"' for rule in sorted({r for r, _ in targets}))
  public = folder.parts[:1] and folder.parts[0] in _PUBLIC
  visibility = '//visibility:public' if public else '//:__subpackages__'
  blocks = [
      '# Written by tools/generate_build.py; run `make build-files`.',
      f'load("@rules_python//python:defs.bzl", {rules})',
      f'package(default_visibility = ["{visibility}"])',
  ]
  if folder.as_posix() in _EXTRA_TEXT:
    blocks.append(_EXTRA_TEXT[folder.as_posix()])
  for rule, attributes in targets:
    lines = ''.join(
        f'    {key} = {_format_value(value)},\n'
        for key, value in sorted(attributes.items(), key=_attribute_rank))
    blocks.append(f'{rule}(\n{lines})')
  return '\n\n'.join(blocks) + '\n'


def main(root: pathlib.Path) -> None:
  """Writes the BUILD file of every folder with Python files under `root`."""
  sources = find_sources(root)
  modules = {dotted_name(path): path for path in sources}
  folders = {}
  for path in sources:
    target = describe_target(path, root, modules)
    folders.setdefault(path.parent, []).append(target)
  for folder, targets in folders.items():
    names = [attributes['name'] for _, attributes in targets]
    for name in names:
      if names.count(name) > 1:
        raise BuildError(
            f'{folder}/{name}.py: named like its folder, so two targets '
            f'would have one name; rename it')
    text = format_build_file(folder, targets)
    (root / folder / 'BUILD').write_text(text, encoding='utf-8')
  print(f'wrote {len(folders)} BUILD files for {len(sources)} Python files')


if __name__ == '__main__':
  project = pathlib.Path(__file__).resolve().parent.parent
  try:
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else project)
  except BuildError as error:
    sys.exit(f'error: {error}')
