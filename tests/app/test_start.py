"""The page starts only where it can, and says why it cannot."""

import os
import sys
import tempfile

import pytest

from axial_tf.app import confinement
from tests import tools


def test_without_gradio_the_command_that_installs_it_is_given(
    export_dir, monkeypatch):
  if sys.version_info < (3, 10):
    pytest.skip('Gradio 6 needs Python 3.10')
  monkeypatch.setitem(sys.modules, 'gradio', None)
  line = tools.refused('axial_tf.app', f'--model={export_dir}', '--port=0')
  assert 'the page needs gradio' in line and '[app]' in line


def test_a_missing_model_is_one_line():
  assert '--model is missing' in tools.refused('axial_tf.app')
  assert 'no such folder' in tools.refused(
      'axial_tf.app', '--model=/nowhere/export')


def test_help_explains_itself_with_an_example():
  done = tools.succeeds('axial_tf.app', '--help')
  assert 'python -m axial_tf.app --model=' in done.stdout


def test_the_folder_is_where_all_is_written_for_a_while(monkeypatch):
  monkeypatch.setattr(os, 'environ', dict(os.environ))
  before = tempfile.gettempdir()
  with confinement.folder() as folder:
    assert tempfile.gettempdir() == folder
    for name in ('GRADIO_TEMP_DIR', 'HF_HOME', 'KERAS_HOME'):
      assert os.path.dirname(os.environ[name]) == folder
    assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'
  assert tempfile.gettempdir() == before and not os.path.exists(folder)
