"""The tool that scores files: JSON, a table, and one line on a mistake."""

import json

import numpy as np
import pytest

from tests import tools
from tests.evaluation import panoptic_scenes as scenes


def _run(*arguments):
  return tools.run('axial_tf.evaluate', *arguments)


@pytest.fixture
def files(tmp_path):
  """Road 3 of 4 pixels right; of two cars one is found, with a score."""
  truth = scenes.Side(np.array([[1, 1, 1, 1, 2, 2, 3, 3]]), [
      {'id': 1, 'category_id': 7, 'area': 4, 'iscrowd': 0},
      {'id': 2, 'category_id': 3, 'area': 2, 'iscrowd': 0},
      {'id': 3, 'category_id': 3, 'area': 2, 'iscrowd': 0}])
  prediction = scenes.Side(np.array([[9, 9, 9, 0, 8, 8, 0, 0]]), [
      {'id': 9, 'category_id': 7},
      {'id': 8, 'category_id': 3, 'score': 0.5}])
  scenes.write([truth], tmp_path / 'truth.json')
  scenes.write([prediction], tmp_path / 'predicted.json')
  (tmp_path / 'predicted').rename(tmp_path / 'pngs')
  return tmp_path


def _arguments(files):
  return [f'--ground_truth={files / "truth.json"}',
          f'--predictions={files / "predicted.json"}',
          f'--predictions_dir={files / "pngs"}']


def test_table_and_json(files):
  done = _run(*_arguments(files), '--format=coco', '--per_class',
              f'--json={files / "out" / "scores.json"}')
  assert done.returncode == 0, done.stderr
  result = json.loads((files / 'out' / 'scores.json').read_text())
  assert set(result) == {'pq', 'ap', 'miou', 'pc'}
  pq = result['pq']
  assert set(pq) == {'all', 'things', 'stuff', 'per_class'}
  assert pq['stuff'] == {'pq': 0.75, 'sq': 0.75, 'rq': 1.0, 'n': 1}
  assert pq['things'] == {'pq': 2 / 3, 'sq': 1.0, 'rq': 2 / 3, 'n': 1}
  assert pq['all']['pq'] == (0.75 + 2 / 3) / 2
  assert pq['per_class']['3']['fn'] == 1 and pq['per_class']['3']['tp'] == 1
  # Half of the recall: 51 of the 101 places of COCO's curve.
  assert result['ap']['ap'] == pytest.approx(51 / 101)
  assert result['miou']['per_class']['7'] == 0.75
  assert result['miou']['pixel_accuracy'] == 5 / 8
  # Two cars of one size: one is covered as a whole, the other not at all.
  covering = result['pc']['per_class']
  assert covering['7'] == 0.75 and covering['3'] == 0.5
  rows = {line.split()[0]: line.split() for line in done.stdout.splitlines()}
  assert rows['all'][1] == '70.83' and rows['car'][1] == '66.67'
  for score in ('AP 50.50', 'mIoU 62.50', 'PC 62.50'):
    assert score in done.stdout


def test_a_mistake_is_one_line_that_names_the_image(files):
  (files / 'pngs' / '0.png').unlink()
  done = _run(*_arguments(files), f'--json={files / "scores.json"}')
  assert done.returncode == 1 and done.stdout == ''
  lines = [line for line in done.stderr.splitlines() if 'error' in line]
  assert len(lines) == 1 and 'image 0' in lines[0] and '0.png' in lines[0]
  assert 'Traceback' not in done.stderr
  assert not (files / 'scores.json').exists()


def test_missing_flags_are_named():
  done = _run('--predictions=x.json')
  assert done.returncode == 1
  assert done.stderr.startswith('error: --ground_truth is missing')
