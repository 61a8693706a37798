"""Makes a small run, its export and records, and describes them.

  python -m tests.lines tests/fixtures/lines/tf_2_20

writes the fixture of the installed TensorFlow, which tests/test_lines.py reads
with either of the two that are supported.
"""

import hashlib
import json
import os
import pathlib
import shutil
import sys
from typing import Dict, List

import numpy as np
import tensorflow as tf

import axial_tf
from axial_tf.data.panoptic import records as panoptic_records
from axial_tf.experiment import config, restore, run
from axial_tf.export import saved_model
from axial_tf.training import checkpoints
from tests import tiny_classes

STEPS = 6
_BINDINGS = (
    *tiny_classes.BINDINGS, tiny_classes.AXIAL, "RECORDS = 'classes'",
    'WIDTH = 0.015625', 'STEM_WIDTH = 0.0625', 'HEADS = 1',
    'LEARNING_RATE = 0.01', f'TRAIN_STEPS = {STEPS}',
    "OptimizerSettings.name = 'radam_lookahead'",
    'OptimizerSettings.beta_2 = 0.9', 'OptimizerSettings.lookahead_period = 4',
    'RunSettings.deterministic = False', 'RunSettings.checkpoints_to_keep = 1',
    'RunSettings.checkpoint_interval = 6', 'RunSettings.steps_per_loop = 2')


def make(folder: pathlib.Path) -> None:
  """Writes a fixture into a new folder, which becomes the current one."""
  (folder / 'classes').mkdir(parents=True)
  os.chdir(folder)
  tiny_classes.write(pathlib.Path('classes'), train=16, val=6)
  with tf.io.TFRecordWriter('panoptic.tfrecord') as writer:
    for seed in range(2):
      writer.write(_panoptic_record(seed))
  run.run(config.parse(['experiments/cifar10_axial_resnet.gin'], _BINDINGS),
          'run', 'train_and_eval')
  saved_model.export_saved_model(
      restore.load_inference('run'), 'export', version=1)
  shutil.make_archive('export', 'zip', 'export')
  metrics = last_metrics('run')
  del metrics['step']
  expected = {
      'tensorflow': tf.__version__, 'metrics': metrics,
      'classes': classes('export'), 'records': record_digests()}
  shutil.copytree('run', 'continued')
  resume('continued')
  expected['continued'] = numbers(checkpoints.latest('continued'))
  pathlib.Path('expected.json').write_text(json.dumps(expected))
  for name in ('continued', 'export', 'run/best', 'run/train',
               'run/validation'):
    shutil.rmtree(name)
  os.remove('run/operative_config.gin')


def resume(model_dir: str) -> None:
  """Trains a run of `make` for two more steps."""
  run.run(config.parse([f'{model_dir}/config.gin'],
                       [f'TRAIN_STEPS = {STEPS + 2}']), model_dir, 'train')


def evaluate(model_dir: str) -> Dict[str, float]:
  """Returns the metrics of a run."""
  return run.run(config.parse([f'{model_dir}/config.gin']), model_dir, 'eval')


def last_metrics(model_dir: str) -> Dict[str, float]:
  """Returns the metrics that a run has recorded last, and their step."""
  *_, line = pathlib.Path(model_dir, 'metrics.jsonl').read_text().splitlines()
  return json.loads(line)


def classes(model: str) -> Dict[str, float]:
  """Returns probabilities by class of one image."""
  image = np.random.default_rng(0).integers(0, 256, [20, 16, 3], np.uint8)
  return {entry.name: entry.probability
          for entry in axial_tf.ImageClassifier(model)(image, top=3)}


def record_digests() -> List[List[str]]:
  """Returns digests of the arrays in the panoptic records."""
  return [
      [hashlib.sha256(example[key].numpy().tobytes()).hexdigest()
       for key in ('image', 'panoptic')]
      for example in tf.data.TFRecordDataset('panoptic.tfrecord').map(
          panoptic_records.decode_panoptic_example)]


def numbers(checkpoint: str) -> Dict[str, List[float]]:
  """Returns norm and product with fixed noise of each saved variable."""
  reader = checkpoints.reader(checkpoint)
  found = {}
  for name in reader.get_variable_to_shape_map():
    if name.endswith(checkpoints.VALUE) and 'save_counter' not in name:
      value = np.asarray(reader.get_tensor(name), np.float64).ravel()
      noise = np.random.default_rng(0).standard_normal(value.size)
      found[name[:-len(checkpoints.VALUE)]] = [
          float(np.linalg.norm(value)), float(value @ noise)]
  return found


def _panoptic_record(seed: int) -> bytes:
  rng = np.random.default_rng(seed)
  panoptic = rng.integers(0, 9 * 256, [16, 16]).astype(np.int32)
  return panoptic_records.encode_panoptic_example(
      tiny_classes.png(seed, seed), 'png', f'{seed}.png', 16, 16, panoptic)


if __name__ == '__main__':
  make(pathlib.Path(sys.argv[1]))
