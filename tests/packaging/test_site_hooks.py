"""The site of the documentation: links to any file, all pages, all exports."""

import re
import types

import pytest

import axial_tf
from tools import site_hooks


@pytest.mark.parametrize('source, link, expected', [
    ('README.md', 'docs/training.md', 'training.md'),
    ('README.md', 'docs/demo.png', 'demo.png'),
    ('README.md', 'CONTRIBUTING.md', 'contributing.md'),
    ('README.md', 'LICENSE', 'project/LICENSE'),
    ('docs/training.md', '../README.md', 'index.md'),
    ('docs/training.md', 'serving.md', 'serving.md'),
    ('docs/datasets.md', '../gin_configs/datasets/camvid.json',
     'project/gin_configs/datasets/camvid.json'),
    ('docs/results/more.md', '../training.md', '../training.md'),
    ('docs/results/more.md', '../../LICENSE', '../project/LICENSE'),
    # MkDocs reports these.
    ('docs/training.md', '../gin_configs/none.gin', '../gin_configs/none.gin'),
    ('docs/training.md', '../gin_configs', '../gin_configs'),
    ('docs/training.md', 'https://example.org/x', 'https://example.org/x'),
])
def test_links_lead_to_pages_and_copies(source, link, expected):
  assert site_hooks._relink(link, source) == expected


def _page(name):
  return types.SimpleNamespace(file=types.SimpleNamespace(src_uri=name))


def test_links_in_code_and_to_sections_stay():
  text = ('[a](../README.md#models) [b](#here) `[c](../README.md)`\n'
          '```text\n[d](../README.md)\n```\n')
  assert site_hooks.on_page_markdown(text, _page('training.md'), None, []) == (
      text.replace('[a](../README.md', '[a](index.md'))


def test_the_readme_is_the_home_page():
  assert site_hooks.on_page_markdown(
      '[a](docs/training.md)', _page('index.md'), None, []) == (
          '[a](training.md)')


def test_the_api_has_every_export_once():
  page = site_hooks._api()
  names = re.findall(r'heading: axial_tf\.(\w+)$', page, re.MULTILINE)
  assert sorted(names) == sorted(set(axial_tf.__all__) - {'__version__'})
  assert '::: axial_tf.prediction.predictor.Predictor\n' in page
  assert page.count('\n## ') == len(set(re.findall('\n## .*', page)))


def test_pages_that_are_not_listed_come_last():
  files = types.SimpleNamespace(documentation_pages=lambda: [
      types.SimpleNamespace(src_uri=name) for name in ('a.md', 'c.md', 'b.md')])
  nav = [{'Start': [{'A': 'a.md'}]}, {'More': []}]
  site_hooks._list_others(files, nav)
  assert nav[-1] == {'More': ['b.md', 'c.md']}
  nav = [{'All': ['a.md', 'b.md', 'c.md']}, {'More': []}]
  site_hooks._list_others(files, nav)
  assert nav == [{'All': ['a.md', 'b.md', 'c.md']}]
