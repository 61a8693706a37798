"""The changelog begins with what is unreleased and knows this version."""

import re

import axial_tf


def test_the_newest_version_is_that_of_the_package(project_root):
  text = (project_root / 'CHANGELOG.md').read_text()
  headings = re.findall(r'^## (.*)$', text, re.MULTILINE)
  assert headings[0] == '[Unreleased]'
  versions = [re.match(r'\[?(\d+\.\d+\.\d+)', heading)[1]
              for heading in headings[1:]]
  assert versions[0] == axial_tf.__version__
  assert len(set(versions)) == len(versions)


def test_the_kinds_of_changes_are_the_usual_ones(project_root):
  text = (project_root / 'CHANGELOG.md').read_text()
  assert set(re.findall(r'^### (.*)$', text, re.MULTILINE)) <= {
      'Added', 'Changed', 'Deprecated', 'Removed', 'Fixed', 'Security'}
