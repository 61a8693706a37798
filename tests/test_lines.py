"""Either line of TensorFlow reads what the other has written."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from axial_tf.training import checkpoints
from tests import lines

# Their numbers are tested here, not their graphs.
pytestmark = pytest.mark.usefixtures('eager')

_FIXTURES = pathlib.Path(__file__).parent / 'fixtures' / 'lines'


@pytest.fixture(scope='module', params=['tf_2_15', 'tf_2_20'])
def folder(request, tmp_path_factory):
  """A copy of the fixture of a TensorFlow."""
  copy = tmp_path_factory.mktemp('lines') / request.param
  shutil.copytree(_FIXTURES / request.param, copy)
  shutil.unpack_archive(copy / 'export.zip', copy / 'export')
  return copy


@pytest.fixture
def expected(folder, monkeypatch):
  """What that TensorFlow has found; its folder is the current one."""
  monkeypatch.chdir(folder)
  found = json.loads(pathlib.Path('expected.json').read_text())
  assert found['tensorflow'].startswith(folder.name[3:].replace('_', '.'))
  return found


def test_records(expected):
  assert lines.record_digests() == expected['records']


@pytest.mark.parametrize('model', ['run', 'export'])
def test_classes(expected, model):
  assert lines.classes(model) == pytest.approx(expected['classes'], abs=1e-5)


def test_validation(expected):
  assert lines.evaluate('run') == pytest.approx(expected['metrics'], rel=1e-4)


@pytest.mark.slow
def test_training_continues_alike(expected):
  shutil.copytree('run', 'continued')
  lines.resume('continued')
  found = lines.numbers(checkpoints.latest('continued'))
  assert found.keys() == expected['continued'].keys()
  assert any('/.OPTIMIZER_SLOT/optimizer/slow' in name for name in found)
  for name, (norm, product) in expected['continued'].items():
    np.testing.assert_allclose(
        found[name], (norm, product), atol=1e-3 * norm + 1e-5, err_msg=name)
