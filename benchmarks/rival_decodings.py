"""Scores ways to decode a DeeperLab or an SSAP, on one run's outputs.

Validates a run with other settings of its decoding: of a DeeperLab, fewer
refinements of offsets, votes by short offsets alone, and keypoints scored by
their votes; of an SSAP, affinities without refinement, one flat graph instead
of the cascade, and cascades that stop early. Seconds are the median over images
of decoding alone; PQ in %.

  python benchmarks/rival_decodings.py --model_dir=runs/camvid_ssap
"""

import dataclasses
import os
import pathlib
import sys
import time
from typing import Dict

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors
from axial_tf.data.common import resizing
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.evaluation import panoptic_quality
from axial_tf.experiment import config, restore
from axial_tf.files import model_folders
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.panoptic.deeperlab import decoding_settings
from axial_tf.panoptic.ssap import cascade_settings

_CONFIGURED = 'as configured'
# Fields of the settings that differ, by the names of the ways.
_WAYS = {
    decoding_settings.DeeperLabDecodingSettings: {
        'long and middle offsets as they are': {
            'long_by_short': 0, 'middle_by_short': 0},
        'refined once': {'long_by_short': 1, 'middle_by_short': 1},
        'long offsets also by themselves, twice': {'long_by_long': 2},
        'votes by short offsets alone': {'long_vote_weight': 0.0},
        'keypoints scored by votes': {'rescoring': False},
    },
    cascade_settings.CascadeSettings: {
        'affinities as they are': {'refine': False},
        'one flat graph of stride 4': {'start_stride': 4},
        'cascade to stride 8': {'stop_stride': 8},
        'cascade to stride 16': {'stop_stride': 16},
    },
}


def ways(settings) -> Dict[str, object]:
  """Returns the settings to compare, by their names.

  Raises:
    errors.UserError: they are of another kind.
  """
  if type(settings) not in _WAYS:
    raise errors.UserError(
        '--model_dir: expected the run of a DeeperLab or an SSAP; for '
        'Panoptic-DeepLab, see merging_options.py')
  return {_CONFIGURED: settings, **{
      name: dataclasses.replace(settings, **fields)
      for name, fields in _WAYS[type(settings)].items()}}


def score(inference: panoptic_inference.PanopticInference,
          data: panoptic_pipeline.PanopticDataSettings):
  """Returns the result of PQ, and the median seconds of an image's decoding."""
  find, merge = (
      tf.function(function, autograph=False, reduce_retracing=True)
      for function in (inference.heads, inference.decoding.merge))
  quality = panoptic_quality.PanopticQuality(inference.spec)
  times = []
  for example in panoptic_pipeline.validation_dataset(
      data, inference.spec, 1):
    heads = find(example['image'])
    start = time.perf_counter()
    found = merge(heads)['panoptic_map'][0].numpy()
    times.append(time.perf_counter() - start)
    truth = example['panoptic'][0].numpy()
    quality.update(truth, resizing.nearest_array(found, *truth.shape))
  return quality.result(), float(np.median(times))


def main() -> None:
  cli.require(model_dir='the folder of a training run')
  model_dir = flags.FLAGS.model_dir
  run = restore.load_inference(model_dir)
  data = config.parse(
      [os.path.join(model_dir, model_folders.CONFIG)]).task.data
  print('| decoding | PQ | things | RQ of things | stuff | seconds |\n'
        '|---|---|---|---|---|---|')
  for name, settings in ways(run.merging).items():
    result, seconds = score(panoptic_inference.PanopticInference(
        run.model, run.spec, settings, multi_scale=run.multi_scale), data)
    cells = (result['all']['pq'], result['things']['pq'],
             result['things']['rq'], result['stuff']['pq'])
    print(f'| {name} | ' + ' | '.join(f'{100 * x:.2f}' for x in cells)
          + f' | {seconds:.3f} |', flush=True)


if __name__ == '__main__':
  cli.define_path('model_dir', None, 'folder of the run.')
  cli.run(main, __doc__)
