"""Draws validation images of a classifier with the class it gives them.

The images are spread evenly over the first 2000 of the validation data. Above
each is its class by the network, and, where that is wrong, the true one in
brackets.

  python benchmarks/classified_pictures.py --model_dir=runs/cifar10 \\
    --output=classes.png --count=24
"""

import itertools
import os
import pathlib
import sys
from typing import Iterator, Tuple

from absl import flags
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors, visualize
from axial_tf.data.classification import pipeline
from axial_tf.experiment import config
from axial_tf.files import model_folders
from axial_tf.prediction import image_classifier
from axial_tf.visualize import picture_sizes

FLAGS = flags.FLAGS

# Images are enlarged to at least this side, so that their titles fit.
_SIDE = 120
_COLUMNS = 8
_FIRST = 2000


def main() -> None:
  cli.require(model_dir='the folder of a run of a classifier',
              output='a PNG to write')
  visualize.save_png(draw(FLAGS.model_dir, FLAGS.count), FLAGS.output)
  print(FLAGS.output)


def draw(model_dir: str, count: int) -> np.ndarray:
  """Returns a picture of `count` validation images of a run.

  Raises:
    errors.UserError: there is no classifier, or there are fewer images.
  """
  model = image_classifier.ImageClassifier(model_dir)
  data = config.parse(
      [os.path.join(model_dir, model_folders.CONFIG)]).task.data
  images = list(itertools.islice(
      _validation_images(data, model.spec), _FIRST))
  if len(images) < count:
    raise errors.UserError(
        f'--count: only {len(images)} validation images are looked at')
  places = np.linspace(0, len(images) - 1, count).round().astype(int)
  panels = [_panel(model, *images[place]) for place in places]
  return visualize.stack([
      visualize.side_by_side(*zip(*panels[start:start + _COLUMNS]))
      for start in range(0, count, _COLUMNS)])


def _validation_images(data, spec) -> Iterator[Tuple[np.ndarray, int]]:
  """Yields images as validation sees them, uint8, and labels."""
  for example in pipeline.validation_dataset(data, spec, 1):
    pixels = (example['image'][0].numpy() + 1) * 127.5
    yield pixels.round().astype(np.uint8), int(example['label'][0])


def _panel(model, image, label) -> Tuple[np.ndarray, str]:
  """Returns an enlarged image and its title."""
  found = model(image, top=1)[0]
  title = found.name if found.label == label else (
      f'{found.name} ({model.spec.classes[label].name})')
  factor = -(-_SIDE // min(image.shape[:2]))
  return picture_sizes.resize_image(
      image, *(factor * side for side in image.shape[:2])), title


if __name__ == '__main__':
  cli.define_path('model_dir', None, 'folder of a run of a classifier.')
  cli.define_path('output', None, 'PNG to write.')
  flags.DEFINE_integer('count', 24, 'number of images.', lower_bound=1)
  cli.run(main, __doc__)
