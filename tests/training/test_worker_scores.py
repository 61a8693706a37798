"""Two workers validate together: both have the scores of one device."""

import io
import json

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from axial_tf.data.common import record_files
from axial_tf.data.panoptic import records
from axial_tf.experiment import config, run
from axial_tf.keras2 import keras
from axial_tf.specs import dataset_spec
from axial_tf.tasks import panoptic
from tests import worker_processes

_EXPERIMENT = 'experiments/demo.gin'
_SPEC = 'gin_configs/datasets/digits.json'
_SIZES = [(40, 33), (33, 50), (33, 50), (48, 48), (40, 33)]
_BINDINGS = (
    "RECORDS = '/nowhere'", f"SPEC = '{_SPEC}'", 'BLOCKS = (1, 1, 1, 1)',
    # Without attention, whose graph is slow to build.
    "variant_settings.spatial = 'convolution'", 'WIDTH = 0.125',
    'PanopticTaskSettings.instance_ap = True',
    'PanopticTaskSettings.tensorboard_images = 2',
    'PanopticTaskSettings.merging = @MergingSettings()',
    'MergingSettings.center_threshold = 0.0',
    'MergingSettings.max_centers = 20', 'MergingSettings.stuff_area_limit = 0')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
  """A network and five images whose truth is near what it predicts."""
  experiment = config.parse([_EXPERIMENT], _BINDINGS)
  spec = dataset_spec.DatasetSpec.load(_SPEC)
  keras.utils.set_random_seed(0)
  model = panoptic.build_model(experiment.task, spec)
  prefix = str(tmp_path_factory.mktemp('network') / 'ckpt')
  tf.train.Checkpoint(
      model=model, global_step=tf.Variable(7, dtype=tf.int64)).write(prefix)
  inference = tf.function(
      panoptic.build_inference(experiment.task, spec, model),
      reduce_retracing=True)
  rng, examples = np.random.default_rng(0), []
  for number, size in enumerate(_SIZES):
    image = np.kron(rng.integers(0, 255, [7, 7, 3]), np.ones([8, 8, 1]))
    image = image[:size[0], :size[1]].astype(np.uint8)
    labels = inference(image[np.newaxis])['panoptic_map'][0].numpy()
    labels = np.roll(labels, number, axis=1)
    labels[-9:, :9] = spec.void_label
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, 'PNG')
    examples.append(records.encode_panoptic_example(
        buffer.getvalue(), 'png', f'{number}.png', *size, labels))
  return prefix, examples


def _model_dir(folder, checkpoint):
  """A run that has come to the step of the checkpoint."""
  folder.mkdir()
  for part in ('index', 'data-00000-of-00001'):
    (folder / f'ckpt-7.{part}').symlink_to(f'{checkpoint}.{part}')
  (folder / 'checkpoint').write_text('model_checkpoint_path: "ckpt-7"')
  return folder


def _pictures(folder):
  """(tag, encoded picture) of all images in a validation's event files."""
  return sorted(
      (value.tag, value.tensor.string_val[2])
      for file in (folder / 'validation').glob('events*')
      for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
      for value in tf.compat.v1.Event.FromString(record).summary.value
      if value.metadata.plugin_data.plugin_name == 'images')


@pytest.mark.slow
@pytest.mark.parametrize('shards', [
    (1, 4),  # The first images are on both workers.
    (5, 0), (5,)], ids=[
        'uneven', 'none', 'fewer files than workers'])
def test_both_workers_have_the_scores_of_one_device(
    tmp_path, checkpoint, shards):
  prefix, examples = checkpoint
  rest = iter(examples)
  for index, count in enumerate(shards):
    name = record_files.shard_name('val', index, len(shards))
    with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
      for _ in range(count):
        writer.write(next(rest))
  bindings = [*_BINDINGS, 'PanopticDataSettings.validation_pattern = '
              f"'{tmp_path}/val-*.tfrecord'"]
  model_dir = _model_dir(tmp_path / 'two', prefix)
  processes = worker_processes.start(
      2, '--mode=eval', f'--model_dir={model_dir}', f'--gin_file={_EXPERIMENT}',
      *(f'--gin_params={binding}' for binding in (
          *bindings, "RunSettings.strategy = 'multi_worker_mirrored'",
          'RunSettings.validation_batch_size = 2')))
  alone = _model_dir(tmp_path / 'one', prefix)
  expected = run.run(config.parse([_EXPERIMENT], bindings), str(alone), 'eval')
  first, second = worker_processes.finish(processes)

  assert set(expected) >= {'pq', 'sq', 'pq_stuff', 'miou', 'ap', 'ap50'}
  # Worth comparing: nothing is all right or all wrong.
  assert all(0.1 < expected[key] < 0.99 for key in ('pq', 'miou'))
  assert 0 < expected['ap'] < 1
  stored, = (model_dir / 'metrics.jsonl').read_text().splitlines()
  assert json.loads(stored) == {'step': 7, **expected}
  table = first[first.index('validation at step 7'):]
  assert f'mIoU {100 * expected["miou"]:.2f}' in table
  assert second.endswith(table)
  pictures = _pictures(model_dir)
  assert len(pictures) == 4 and pictures == _pictures(alone)
