"""Real COCO annotations pass through the whole system."""

import json

import pytest

from tests import tools


@pytest.fixture(scope='module')
def records(shared_dir, tmp_path_factory):
  folder = tmp_path_factory.mktemp('coco_sample')
  tools.succeeds(
      'data_prep.convert', '--dataset=coco',
      f'--input_dir={shared_dir / "data" / "coco_panoptic_sample"}',
      '--split=val2017', f'--output_dir={folder}')
  return folder


@pytest.mark.slow
def test_the_ceiling_is_100_except_for_small_stuff(records):
  output = tools.succeeds(
      'benchmarks.ceiling', '--spec=coco',
      f'--records={records}/val2017-*.tfrecord').stdout
  pq = [float(line.split()[1]) for line in output.splitlines()
        if line.startswith('all ')]
  with_limit, all_stuff, at_stride_4, keypoints_at_stride_4, ssap_4, ssap_8 = pq
  assert all_stuff == 100.0
  assert with_limit < 100.0 and 'blanket' in output
  assert at_stride_4 > 85.0 and keypoints_at_stride_4 > 85.0
  assert ssap_4 > ssap_8 > 80.0


@pytest.mark.long
def test_a_small_model_overfits_the_images(records, tmp_path):
  tools.succeeds(
      'axial_tf.train', '--gin_file=experiments/coco_sample.gin',
      f"--gin_params=RECORDS='{records}'", f'--model_dir={tmp_path / "run"}',
      '--mode=train_and_eval')
  last = (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()[-1]
  assert json.loads(last)['pq'] >= 0.80
