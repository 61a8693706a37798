"""Compares predictions in tiles with those of whole images.

Segments the validation images of a run that are larger than the largest of the
tiles, as a whole and in tiles of each size, and scores both.

  python benchmarks/tiles.py --model_dir=runs/nuclei --tile=128,192 --overlap=64
"""

import os
import pathlib
import sys

from absl import flags
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors
from axial_tf.data.common import resizing
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.evaluation import label_maps, panoptic_quality
from axial_tf.experiment import config
from axial_tf.files import model_folders
from axial_tf.prediction import predictor

_MODEL_DIR = cli.define_path('model_dir', None, 'folder of the run.')
_TILES = flags.DEFINE_list('tile', ['512'], 'sides of the tiles in pixels.')
_OVERLAP = flags.DEFINE_integer(
    'overlap', None, 'pixels that tiles share; default: a quarter of a tile.')


def main() -> None:
  cli.require(model_dir='the folder of a training run')
  task = config.parse(
      [os.path.join(_MODEL_DIR.value, model_folders.CONFIG)]).task
  tiles = list(map(int, cli.numbers('tile', _TILES.value)))
  models = {'whole': predictor.Predictor(_MODEL_DIR.value)}
  for tile in tiles:
    models[f'tiles of {tile}'] = predictor.Predictor(
        _MODEL_DIR.value, tile=tile, overlap=_OVERLAP.value)
  spec = models['whole'].spec
  qualities = {name: panoptic_quality.PanopticQuality(spec) for name in models}
  things = dict.fromkeys(models, 0)
  images = true_things = 0
  for example in panoptic_pipeline.validation_dataset(task.data, spec, 1):
    image = example['image'][0].numpy()
    if max(image.shape) <= max(tiles):
      continue
    images += 1
    truth = example['panoptic'][0].numpy()
    true_things += count(truth, spec)
    for name, model in models.items():
      result = model(image)
      found = result.panoptic_map
      if result.spec != spec:
        raise errors.UserError(
            f'{name}: more things than the label_divisor {spec.label_divisor} '
            f'of the ground truth; take a data set with a larger one')
      found = resizing.nearest_array(found, *truth.shape)
      things[name] += count(found, spec)
      qualities[name].add(label_maps.overlaps(truth, found, spec))
  print(f'{images} images with {true_things} things\n\n'
        '| | PQ | PQ of things | PQ of stuff | things |\n|---|---|---|---|---|')
  for name, quality in qualities.items():
    scores = ' | '.join(
        f'{100 * quality.result()[part]["pq"]:.2f}'
        for part in ('all', 'things', 'stuff'))
    print(f'| {name} | {scores} | {things[name]} |')


def count(panoptic_map: np.ndarray, spec) -> int:
  """Returns the number of things of a map, without crowds."""
  labels = np.unique(panoptic_map)
  return int(np.sum(np.isin(labels // spec.label_divisor, spec.thing_ids)
                    & (labels % spec.label_divisor > 0)))


if __name__ == '__main__':
  cli.run(main, __doc__)
