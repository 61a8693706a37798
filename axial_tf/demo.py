"""Runs the whole workflow on a small data set: training, PQ, export, pictures.

Runs the ordinary tools one after the other, each in a separate process, on
handwritten digits pasted on photographs (made here, nothing is downloaded).

Example:
  python -m axial_tf.demo --output_dir=demo
"""

import os
import shlex
import subprocess
import sys
import time

from absl import flags

from axial_tf import cli, errors, log_filter
from axial_tf.files import paths

FLAGS = flags.FLAGS


def _define_flags() -> None:
  cli.define_path(
      'output_dir', 'demo', 'folder for data, run, export and pictures.',
      local=True)
  flags.DEFINE_multi_string(
      'gin_params', [], 'gin bindings for the training, as in axial_tf.train.')
  flags.DEFINE_integer(
      'pictures', 12, 'validation images to draw.', lower_bound=1)


def main() -> None:
  root = FLAGS.output_dir
  data, records = os.path.join(root, 'data'), os.path.join(root, 'records')
  run_dir, export = os.path.join(root, 'run'), os.path.join(root, 'export')
  if os.path.exists(run_dir):
    raise errors.UserError(
        f'{run_dir}: contains an earlier demo; delete {root} or give another '
        f'--output_dir')
  start = time.monotonic()
  _step('1/6 sample data', 'data_prep.sample_digits', f'--output_dir={data}')
  for split in ('train', 'val'):
    _step(f'2/6 TFRecords ({split})', 'data_prep.convert', '--dataset=custom',
          f'--spec={os.path.join(data, "digits.json")}',
          f'--input_dir={data}', f'--split={split}', f'--output_dir={records}')
  _step('3/6 training and validation', 'axial_tf.train',
        '--gin_file=experiments/demo.gin', f'--model_dir={run_dir}',
        '--mode=train_and_eval', f'--gin_params=RECORDS={records!r}',
        *(f'--gin_params={binding}' for binding in FLAGS.gin_params))
  _step('4/6 export', 'axial_tf.export', f'--model_dir={run_dir}',
        f'--export_dir={export}')
  _banner('5/6 the SavedModel segments the validation images')
  table, quality = _predict(export, records, root)
  _banner('6/6 panoptic quality of the SavedModel on the validation images')
  print(table)

  minutes = (time.monotonic() - start) / 60
  print(f'\n{minutes:.1f} minutes in all; next steps: README.md')
  print(f'demo: PQ {100 * quality["all"]["pq"]:.1f}, pictures in '
        f'{root.rstrip("/")}/')


def _banner(title: str) -> None:
  print(f'\n=== {title}', flush=True)


def _step(title: str, module: str, *arguments: str) -> None:
  """Runs one of the tools and shows its command."""
  _banner(title)
  print('$ python -m ' + shlex.join((module, *arguments)), flush=True)
  finished = subprocess.run(
      [sys.executable, '-m', module, *arguments], check=False,
      env=cli.environment(), stderr=log_filter.descriptor())
  if finished.returncode:
    sys.exit(finished.returncode)


def _predict(export: str, records: str, output_dir: str):
  """Segments the validation records; writes pictures, returns their PQ."""
  import tensorflow as tf
  from tqdm import tqdm

  from axial_tf import visualize
  from axial_tf.data.panoptic import records as records_lib
  from axial_tf.evaluation import panoptic_quality
  from axial_tf.prediction import predictor as predictor_lib

  predictor = predictor_lib.Predictor(export)
  quality = panoptic_quality.PanopticQuality(predictor.spec)
  files = paths.matching(os.path.join(records, 'val-*.tfrecord'))
  dataset = tf.data.TFRecordDataset(files).map(
      records_lib.decode_panoptic_example)
  panels = []
  for example in tqdm(
      dataset.as_numpy_iterator(), unit=' images', file=sys.stderr):
    result = predictor(example['image'])
    quality.update(example['panoptic'], result.panoptic_map)
    if len(panels) < FLAGS.pictures:
      truth = visualize.panoptic_overlay(
          example['image'], example['panoptic'], predictor.spec, labels=True)
      name = os.path.splitext(
          os.path.basename(os.fsdecode(example['filename'])))[0]
      panels.append(visualize.side_by_side(
          [example['image'], truth, result.picture],
          ['image', 'ground truth', 'prediction']))
      visualize.save_png(
          panels[-1], os.path.join(output_dir, f'{name}.png'))
  visualize.save_png(
      visualize.side_by_side(panels[:3]),
      os.path.join(output_dir, 'overview.png'))
  result = quality.result()
  return panoptic_quality.format_table(result, predictor.spec), result


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
