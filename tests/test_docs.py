"""Every block of code in the documentation runs here, or says why not."""

import functools
import os
import pathlib
import re
import shutil
import sys
from unittest import mock

from absl import flags
from PIL import Image
import pytest

from axial_tf import cli
from axial_tf.experiment import config, restore
from tests import color_model, doc_commands, test_readme, tools
from tests.data_prep import tiny_cityscapes

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_PAGES = {path.relative_to(_ROOT).as_posix(): path for path in sorted(
    [*_ROOT.glob('*.md'), *_ROOT.glob('docs/*.md')])}
# These have tests of their own.
_ELSEWHERE = {'README.md': 'tests/test_readme.py',
              'docs/your_data.md': 'tests/test_your_data.py'}
_HERE = [name for name, path in _PAGES.items()
         if name not in _ELSEWHERE and doc_commands.blocks(path)]
_LANGUAGES = ('bash', 'gin', 'python', *doc_commands.DATA)
_EARLIER = _ROOT / 'tests' / 'fixtures' / 'earlier_run'
# Models of the pages -> runs of the fixture. These stand for exports, too: they
# are used in the same way, and need no graph.
_MODELS = {'runs/camvid': 'run', 'runs/cells': 'run', 'demo/export': 'run',
           'runs/cifar10': 'classifier_run'}
# Some of the files that the blocks of a page make.
_MADE = {
    'docs/classification.md': ['classes/classes.jsonl'],
    'docs/datasets.md': ['datasets/cityscapes/dataset_info.json'],
    'docs/evaluation.md': ['scores.json', 'segmented/slide_panoptic.png'],
    'docs/pictures.md': ['results/one_attention.png'],
    'docs/quick_start.md': ['results/one_panoptic.png'],
}


def _is_tested_by(test: str, page: str) -> bool:
  path = _ROOT / test
  return path.is_file() and pathlib.Path(page).name in path.read_text()


@pytest.mark.parametrize('page', _PAGES)
def test_each_block_runs_or_says_why_not(page):
  text = _PAGES[page].read_text()
  fences = re.findall(r'^ *```', text, re.MULTILINE)
  blocks = doc_commands.all_blocks(_PAGES[page])
  assert len(fences) == 2 * len(blocks), 'a block is indented or has no end'
  for block in blocks:
    assert block.language in _LANGUAGES, f'expected a language: {block.text}'
    kind, _, rest = block.note.partition(': ')
    if block.note.startswith('run by '):
      test = block.note[len('run by '):]
      assert _is_tested_by(test, page), f'{test} does not read {page}'
    else:
      assert not block.note or kind == 'not run' and rest, block.note
  outside = re.sub(r'^```.*?^```$', '', text, flags=re.MULTILINE | re.DOTALL)
  indented = re.search(r'(?:^|\n\n) {4}\S.*', outside)
  assert indented is None, f'a block without fences: {indented[0]}'


def test_the_pages_that_are_run_elsewhere():
  for page, test in _ELSEWHERE.items():
    assert _is_tested_by(test, page)


def test_a_block_gets_the_comment_right_above_it(tmp_path):
  page = tmp_path / 'page.md'
  page.write_text(
      '<!-- not run: x -->\n```bash\na\n```\n<!-- b -->\n\n```\nc\n```\n')
  assert doc_commands.all_blocks(page) == [
      ('bash', 'a\n', 'not run: x'), ('', 'c\n', '')]
  assert doc_commands.blocks(page) == [('', 'c\n')]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A folder with data and runs under the names that the pages use."""
  folder = tmp_path_factory.mktemp('docs') / 'work'
  shutil.copytree(_EARLIER, folder)
  for name, source in _MODELS.items():
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(folder / source)
  (folder / 'photos').mkdir()
  image, _ = color_model.scene(scale=6)
  for name in ('photo.jpg', 'photos/one.jpg'):
    Image.fromarray(image).save(folder / name)
  for name in ('cat.jpg', 'slide.tif'):
    Image.fromarray(image[:40, :60]).save(folder / name)
  test_readme.write_scenes(folder, 'val2017', 2)
  shutil.copytree(folder / 'annotations', folder / 'results')
  tiny_cityscapes.make(folder / 'cityscapes')
  shutil.copy(folder / 'experiment.gin', folder / 'nuclei.gin')
  (folder / '.venv').symlink_to(sys.prefix)
  return folder


@pytest.fixture(scope='module', autouse=True)
def load_once():
  """Keeps each model in memory: most of the time is that of loading."""
  load = functools.cache(restore.load_inference)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(restore, 'load_inference',
                  lambda path: load(os.path.realpath(path)))
    yield


def _run(option, module, *arguments):
  """Runs a command; of one that trains, only the settings are made."""
  assert option == '-m', f'{module}: what runs it?'
  trains = 'axial_tf.train' in (module, *(f'axial_tf.{a}' for a in arguments))
  done = tools.succeeds(
      module, *arguments, *(['--print_config'] if trains else []))
  assert done.stdout


@pytest.mark.parametrize('page', _HERE)
def test_the_blocks_run(page, folder, monkeypatch, eager):
  monkeypatch.chdir(folder)
  names = {}  # All Python of a page is one session.
  for language, block in doc_commands.blocks(_PAGES[page]):
    if language == 'python':
      exec(compile(block, page, 'exec'), names)
    elif language == 'gin':
      config.parse(['experiments/imagenet_axial_resnet_s.gin'], [
          line for line in block.splitlines() if line], fill_required=True)
    else:
      for command in doc_commands.commands(block, folder, {}):
        _run(*command)
  for made in _MADE.get(page, ()):
    assert os.path.getsize(made), made
    os.remove(made)  # Another page may make it, too.


@pytest.mark.parametrize('page', _PAGES)
def test_the_blocks_that_are_not_run_have_no_unknown_options(
    page, folder, monkeypatch):
  """Their Python compiles, and the options of their commands exist."""
  monkeypatch.chdir(folder)

  def parse(main, docstring, takes_arguments=False):
    del main, docstring, takes_arguments
    flags.FLAGS(sys.argv)

  for language, block, note in doc_commands.all_blocks(_PAGES[page]):
    if not note.startswith('not run'):
      continue
    if language == 'python':
      compile(block, page, 'exec')
      continue
    for command in doc_commands.commands(block, folder, {}):
      module = command[1] if command[0] == '-m' else (
          command[0].replace('/', '.').removesuffix('.py'))
      arguments = command[2 if command[0] == '-m' else 1:]
      with mock.patch.object(cli, 'run', parse):
        tools.succeeds(module, *arguments)
