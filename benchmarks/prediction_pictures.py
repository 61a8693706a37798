"""Draws predictions of several runs for some of their validation images.

A row for each image: the image, its true segments, and those of each run. All
runs have the same validation data; titles are the names of their folders.

  python benchmarks/prediction_pictures.py --output=predictions.png \\
    --model_dirs=runs/systems/axial-deeplab_seed1,runs/systems/ssap_seed1
  python benchmarks/prediction_pictures.py --output=nuclei.png \\
    --model_dirs=runs/nuclei --places=0,7,21
"""

import os
import pathlib
import sys

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors, visualize
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.experiment import config
from axial_tf.files import model_folders, paths
from axial_tf.prediction import predictor

_RUNS = flags.DEFINE_list('model_dirs', [], 'folders of panoptic runs.')
_OUTPUT = cli.define_path('output', None, 'PNG to write.')
_PLACES = flags.DEFINE_list(
    'places', ['0', '1', '2'], 'places of the images in the validation data.')


def main() -> None:
  cli.require(output='a PNG to write')
  if not _RUNS.value:
    raise errors.UserError('--model_dirs is required: folders of runs')
  folders = [paths.expand(folder) for folder in _RUNS.value]
  places = list(map(int, cli.numbers('places', _PLACES.value)))
  models = [predictor.Predictor(folder) for folder in folders]
  data = config.parse(
      [os.path.join(folders[0], model_folders.CONFIG)]).task.data
  spec = models[0].spec
  rows = {}
  for place, example in enumerate(
      panoptic_pipeline.validation_dataset(data, spec, 1)):
    if place in places:
      image = example['image'][
          0, :example['height'][0], :example['width'][0]].numpy()
      truth = example['panoptic'][
          0, :example['raw_height'][0], :example['raw_width'][0]].numpy()
      if truth.shape != image.shape[:2]:
        raise errors.UserError(
            f'--places: image {place} is resized for validation; choose runs '
            f'without max_long_side')
      rows[place] = visualize.side_by_side(
          [image, visualize.panoptic_overlay(image, truth, spec),
           *(visualize.panoptic_overlay(
               image, result.panoptic_map, result.spec)
             for result in (model(image) for model in models))],
          ['image', 'ground truth', *map(os.path.basename, folders)])
    if place >= max(places):
      break
  if len(rows) < len(set(places)):
    raise errors.UserError(
        f'--places: there are only {place + 1} validation images')
  visualize.save_png(
      visualize.stack([rows[place] for place in places]), _OUTPUT.value)
  print(_OUTPUT.value)


if __name__ == '__main__':
  cli.run(main, __doc__)
