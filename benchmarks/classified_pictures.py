"""Draws validation images of a classifier with the class it gives them.

The images are spread evenly over the first 2000 of the validation data. Above
each is its class by the network, and, where that is wrong, the true one in
brackets.

  python benchmarks/classified_pictures.py --model_dir=runs/cifar10 \\
    --output=classes.png --count=24
"""

import io
import os
import pathlib
import sys
from typing import Iterator, Tuple

from absl import flags
import numpy as np
from PIL import Image
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors, visualize
from axial_tf.data.classification import records
from axial_tf.experiment import config
from axial_tf.files import images as images_lib
from axial_tf.files import model_folders, paths
from axial_tf.prediction import image_classifier
from axial_tf.visualize import picture_sizes

FLAGS = flags.FLAGS

# Height at which images are shown, so that their titles fit.
_HEIGHT = 128
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
  images = list(_validation_images(data))
  if len(images) < count:
    raise errors.UserError(
        f'--count: only {len(images)} validation images are looked at')
  places = np.linspace(0, len(images) - 1, count).round().astype(int)
  panels = [_panel(model, *images[place]) for place in places]
  return visualize.stack([
      visualize.side_by_side(*zip(*panels[start:start + _COLUMNS]))
      for start in range(0, count, _COLUMNS)])


def _validation_images(data) -> Iterator[Tuple[bytes, int]]:
  """Yields the first images as files, and their labels."""
  files = paths.matching(data.validation_pattern)
  for example in tf.data.TFRecordDataset(files).take(_FIRST).map(
      records.parse_classification_example).as_numpy_iterator():
    yield example['encoded'], int(example['label']) - data.first_label


def _panel(model, content, label) -> Tuple[np.ndarray, str]:
  """Returns an image at the height of all, and its title."""
  image = images_lib.as_rgb(Image.open(io.BytesIO(content)))
  found = model(image, top=1)[0]
  title = found.name if found.label == label else (
      f'{found.name} ({model.spec.classes[label].name})')
  height, width = image.shape[:2]
  return picture_sizes.resize_image(
      image, _HEIGHT, max(1, round(width * _HEIGHT / height))), title


if __name__ == '__main__':
  cli.define_path('model_dir', None, 'folder of a run of a classifier.')
  cli.define_path('output', None, 'PNG to write.')
  flags.DEFINE_integer('count', 24, 'number of images.', lower_bound=1)
  cli.run(main, __doc__)
