"""Adds to the site of the documentation what is not a file of docs/.

MkDocs calls the first two functions, see mkdocs.yml. The README, the changelog
and CONTRIBUTING become pages, the API is listed, and links to further files of
the project, which work in the source tree, lead to copies of them.
"""

import importlib
import os
import pathlib
import posixpath
import re
import sys
from typing import Dict, List

_ROOT = pathlib.Path(__file__).resolve().parent.parent
# Pages that lie outside of docs/.
_PAGES = {'README.md': 'index.md', 'CHANGELOG.md': 'changelog.md',
          'CONTRIBUTING.md': 'contributing.md'}
_COPIES = 'project'
_LINK = re.compile(r'(\]\()([^)\s#]+)((?:#[^)\s]*)?\))')
_CODE = re.compile(r'(^```.*?^```$|`[^`\n]*`)', re.MULTILINE | re.DOTALL)
_TITLES = {'errors': 'Errors', 'specs': 'Categories and classes'}


def on_files(files, config):
  """Adds the pages and copies; lists pages that mkdocs.yml does not know."""
  from mkdocs.structure import files as files_lib

  sources = {f'docs/{path.relative_to(_ROOT / "docs").as_posix()}'
             for path in (_ROOT / 'docs').rglob('*.md')} | set(_PAGES)
  for source in sorted(sources):
    text = (_ROOT / source).read_text(encoding='utf-8')
    if source in _PAGES:
      files.append(files_lib.File.generated(
          config, _PAGES[source], content=text))
    for target in _targets(text, source):
      if target.startswith(f'{_COPIES}/') and (
          files.get_file_from_path(target) is None):
        files.append(files_lib.File.generated(
            config, target,
            abs_src_path=str(_ROOT / target[len(_COPIES) + 1:])))
  files.append(files_lib.File.generated(config, 'api.md', content=_api()))
  _list_others(files, config.nav)
  return files


def on_page_markdown(markdown, page, config, files):
  """Makes links to files of the project links to pages and copies."""
  source = next((outside for outside, inside in _PAGES.items()
                 if inside == page.file.src_uri), f'docs/{page.file.src_uri}')
  return _outside_code(markdown, lambda text: _LINK.sub(
      lambda match: match[1] + _relink(match[2], source) + match[3], text))


def _targets(text: str, source: str) -> List[str]:
  """Returns the paths in the site that a file of the project links to."""
  found = []
  _outside_code(text, lambda part: found.extend(
      _in_site(match[2], source) for match in _LINK.finditer(part)) or part)
  return found


def _outside_code(text: str, change) -> str:
  """Applies a function to a text without its blocks and spans of code."""
  parts = _CODE.split(text)
  parts[::2] = map(change, parts[::2])
  return ''.join(parts)


def _in_site(link: str, source: str) -> str:
  """Returns where a link of a file leads in the site, or the link itself."""
  if re.match(r'\w+:', link):
    return link
  path = posixpath.normpath(
      posixpath.join(posixpath.dirname(source), link))
  if path in _PAGES:
    return _PAGES[path]
  if path.startswith('docs/'):
    return path[len('docs/'):]
  # MkDocs warns of what does not exist, and so of folders.
  return f'{_COPIES}/{path}' if (_ROOT / path).is_file() else link


def _relink(link: str, source: str) -> str:
  target = _in_site(link, source)
  if target == link:
    return link
  page = _PAGES.get(source, source[len('docs/'):])
  return posixpath.relpath(target, posixpath.dirname(page) or '.')


def _api() -> str:
  """Returns a page with all names that `axial_tf` exports, by their rooms."""
  sys.path.insert(0, os.fspath(_ROOT))
  exports = importlib.import_module('axial_tf')._EXPORTS
  sys.path.pop(0)
  rooms: Dict[str, List[str]] = {}
  for name, module in exports.items():
    rooms.setdefault(module.split('.')[1], []).append(name)
  lines = [
      '# API', '',
      'What `import axial_tf` offers. Each name is imported when it is first '
      'used, so that the import itself does not load TensorFlow.', '']
  for room, names in rooms.items():
    lines += [f'## {_TITLES.get(room, room.capitalize())}', '']
    for name in names:
      lines += [f'::: {exports[name]}.{name}', '    options:',
                f'      heading: axial_tf.{name}',
                f'      toc_label: {name}', '']
  return '\n'.join(lines)


def _list_others(files, nav) -> None:
  """Adds pages to the last section of the navigation, or removes this."""
  listed = set(re.findall(r"'([\w/]+\.md)'", repr(nav)))
  (section,) = nav[-1].values()
  section += sorted(
      file.src_uri for file in files.documentation_pages()
      if file.src_uri not in listed)
  if not section:
    nav.pop()
