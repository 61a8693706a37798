"""Paths as people have them: ~, brackets, links, bytes, other machines."""

import ast
import os

import pytest

from axial_tf import errors
from axial_tf.files import atomic_files, paths


def test_home_folders(monkeypatch):
  monkeypatch.setenv('HOME', '/users/me')
  assert paths.expand('~/a b') == '/users/me/a b'
  assert paths.expand('~') == '/users/me'
  assert paths.expand('~root/x') == os.path.expanduser('~root/x') != '~root/x'
  for unchanged in ('a/~', './~/a', 'gs://bucket/~a', 'tfds:coco', ''):
    assert paths.expand(unchanged) == unchanged


def test_the_home_folder_of_an_unknown_user(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(errors.UserError, match='write ./~nobody-of-that-name/x'):
    paths.expand('~nobody-of-that-name/x')
  (tmp_path / '~notes').write_text('')
  assert paths.expand('~notes') == '~notes'


@pytest.mark.parametrize('path', ['a' * 256 + '/x', 'a/' * 2001, 'a\0b'])
def test_paths_that_no_file_system_allows(path):
  with pytest.raises(errors.UserError, match='at most 255 bytes') as raised:
    paths.expand(path)
  assert len(str(raised.value)) < 300
  with pytest.raises(errors.UserError):
    paths.expand('\u00e4' * 128)
  assert paths.expand('a' * 255) == 'a' * 255


def test_long_names_are_written(tmp_path):
  for name in ('n' * 255, '\u00e4' * 127, os.fsdecode(b'\xe9' * 255)):
    atomic_files.write(str(tmp_path / name), b'content')
    assert (tmp_path / name).read_bytes() == b'content'
  assert len(os.listdir(os.fsencode(tmp_path))) == 3


@pytest.fixture
def tree(tmp_path, monkeypatch):
  """Folders whose names are patterns, and those that these would match."""
  for name in ('a[1]/x.png', 'a[1]/y[2].png', 'a1/z.png', 'b*/sub/x.png',
               'bb/x.png'):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('')
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.mark.parametrize('pattern, expected', [
    ('a[1]/*.png', ['a[1]/x.png', 'a[1]/y[2].png']),
    ('a[1]/y[2].png', ['a[1]/y[2].png']),
    ('a?/*.png', ['a1/z.png']),
    ('a[1-3]/*.png', ['a1/z.png']),
    ('b*/*/*.png', ['b*/sub/x.png']),
    ('b?/x.png', ['b*/x.png', 'bb/x.png'][1:]),
    ('*/z.png', ['a1/z.png']),
    ('missing/*.png', []),
    ('', []),
])
def test_existing_names_are_taken_literally(tree, pattern, expected):
  assert paths.matching(pattern) == expected
  absolute = [str(tree / path) for path in expected]
  assert paths.matching(pattern and str(tree / pattern)) == absolute


def test_any_depth(tree):
  assert paths.matching('b*/**/*.png', recursive=True) == ['b*/sub/x.png']
  assert len(paths.matching('**/*.png', recursive=True)) == 5


def test_folders_behind_links_are_walked_once(tree):
  os.symlink('..', tree / 'a1' / 'loop')
  os.symlink(tree / 'b*', tree / 'a1' / 'link')
  found = sorted(os.path.relpath(path, tree) for path in paths.walk('a1'))
  assert found == sorted(set(found))
  assert {'a1/z.png', 'a1/link/sub/x.png'} <= set(found)
  images = [path for path in found if path.endswith('.png')]
  assert len(images) == 5
  assert paths.matching('a1/**/*.png', recursive=True) == images


def test_a_name_that_is_not_a_pattern_for_tensorflow(tree):
  for harmless in ('a1', 'a1/x', '/', '', 'a/b/'):
    assert paths.literal(harmless) == harmless
  alias = paths.literal('a[1]/x.png')
  assert not set('*?[\\') & set(alias)
  assert os.path.samefile(alias, 'a[1]/x.png')
  assert os.path.dirname(alias) == paths.literal(str(tree / 'a[1]'))
  assert os.path.samefile(paths.literal('b*/'), 'b*')
  for refused in ('a[1]/y[2].png', 'new[1]', 'gs://bucket/a[1]'):
    with pytest.raises(errors.UserError, match='takes for a pattern'):
      paths.literal(refused)


def test_bytes_that_are_not_utf8():
  name = os.fsdecode(b'caf\xe9 \xc3\xa9.jpg')
  assert paths.printable(name) == 'caf\\xe9 \u00e9.jpg'
  with pytest.raises(errors.UserError, match=r'caf.xe9.*in UTF-8'):
    paths.require_utf8(name)
  assert paths.require_utf8('caf\u00e9') == 'caf\u00e9'


def test_names_that_leave_a_folder():
  for name in ('/etc/x', '../x', 'a/../../x', '..'):
    assert paths.leads_out(name)
  for name in ('x', 'a/x', '..a/x', 'a..b'):
    assert not paths.leads_out(name)


@pytest.mark.parametrize('path', ['s3://bucket/x', 'http://localhost:1/x'])
def test_a_remote_folder_that_cannot_be_reached(path, capsys):
  with pytest.raises(errors.UserError, match=f'{path}: cannot be reached'):
    paths.require_reachable(path)
  assert f'looking for {path}' in capsys.readouterr().err
  with pytest.raises(errors.UserError, match=f'{path}.*: cannot be reached'):
    paths.matching(f'{path}*')
  with pytest.raises(errors.UserError, match='a path on this machine'):
    paths.require_local(path)


def test_local_paths_need_no_check_of_the_connection(tmp_path, capsys):
  for path in (None, '', str(tmp_path / 'missing')):
    paths.require_reachable(path)
  assert not capsys.readouterr().err


def test_every_flag_that_is_a_path_expands_the_home_folder(project_root):
  """Flags of text whose meaning speaks of files are defined as paths."""
  defined, others = 0, []
  for package in ('axial_tf', 'data_prep', 'benchmarks'):
    for file in sorted((project_root / package).rglob('*.py')):
      for call in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        name = _called(call)
        defined += name in ('define_path', 'define_paths')
        if name in ('DEFINE_string', 'DEFINE_multi_string'):
          texts = [node.value for node in ast.walk(call)
                   if isinstance(node, ast.Constant)
                   and isinstance(node.value, str)]
          if _speaks_of_files(' '.join(texts)):
            others.append(f'{file.name}: {texts[0]}')
  assert defined > 30
  assert others == []


def test_only_these_modules_expand_patterns(project_root):
  """Functions that look for matching files, also where they get one file."""
  owners = {
      'glob.glob': 'paths.py', 'gfile.glob': 'paths.py',
      'os.walk': 'paths.py', 'path.expanduser': 'paths.py',
      'train.load_checkpoint': 'checkpoints.py'}
  owners.update({f'train.{name}': None for name in (
      'latest_checkpoint', 'list_variables', 'load_variable')})
  for package in ('axial_tf', 'data_prep'):
    for file in sorted((project_root / package).rglob('*.py')):
      for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Attribute):
          owner = getattr(node.value, 'attr', getattr(node.value, 'id', ''))
          name = f'{owner}.{node.attr}'
          assert owners.get(name, file.name) == file.name, f'{file}: {name}'


def _called(node) -> str:
  function = getattr(node, 'func', None)
  return function.attr if isinstance(function, ast.Attribute) else ''


def _speaks_of_files(text: str) -> bool:
  words = set(text.lower().replace(',', ' ').replace('.', ' ').split())
  return bool(words & {'folder', 'file', 'path', 'json'}) and (
      'binding' not in words)  # Gin has bindings; settings expand those.
