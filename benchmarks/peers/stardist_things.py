"""Trains StarDist on things of one class, as a rival on equal data and time.

StarDist (Schmidt et al., 2018) is the usual tool for cell nuclei. It runs in an
environment of its own, which needs nothing of this package:

  python3.11 -m venv stardist
  stardist/bin/pip install stardist==0.9.2 tensorflow==2.15.1 pillow
  stardist/bin/python benchmarks/peers/stardist_things.py \\
    --data=nuclei_panoptic --minutes=20 --output=stardist_val
  python -m axial_tf.evaluate --predictions=stardist_val.json \\
    --ground_truth=nuclei_panoptic/annotations/panoptic_val.json

The data are in COCO's panoptic layout, with images in images/train and
images/val. Settings are those of StarDist's example: 32 rays on every second
pixel, and flips, turns and intensity as augmentation. It ends training after
the given minutes, and chooses its thresholds on a tenth of the training images,
which are not trained on. Pixels outside all things are the first stuff.
"""

import argparse
import json
import pathlib
import time

from csbdeep.utils import normalize
import numpy as np
from PIL import Image
from stardist.models import Config2D, StarDist2D
import tensorflow as tf

_BATCH = 4
_HELD_OUT = 10


def read(data: pathlib.Path, split: str):
  """Returns the content of the JSON, the images, and labels of instances."""
  content = json.loads(
      (data / 'annotations' / f'panoptic_{split}.json').read_text())
  things = {c['id'] for c in content['categories'] if c['isthing']}
  names = {image['id']: image['file_name'] for image in content['images']}
  images, labels = [], []
  for annotation in content['annotations']:
    name = names[annotation['image_id']]
    images.append(normalize(np.asarray(
        Image.open(data / 'images' / split / name).convert('RGB'), np.float32),
        1, 99.8, axis=(0, 1, 2)))
    png = np.asarray(Image.open(
        data / 'annotations' / f'panoptic_{split}' / annotation['file_name']
    ).convert('RGB'), np.int64) @ (1, 256, 65536)
    label = np.zeros(png.shape, np.uint16)
    instances = [s['id'] for s in annotation['segments_info']
                 if s['category_id'] in things and not s['iscrowd']]
    for number, id_ in enumerate(instances, 1):
      label[png == id_] = number
    labels.append(label)
  return content, images, labels


def augment(image, label):
  """Flips, quarter turns, and other brightness and contrast."""
  turns = np.random.randint(4)
  image, label = np.rot90(image, turns), np.rot90(label, turns)
  if np.random.rand() < 0.5:
    image, label = image[:, ::-1], label[:, ::-1]
  image = image * np.random.uniform(0.6, 2) + np.random.uniform(-0.2, 0.2)
  # StarDist's own code for distances does not look at strides.
  return image.astype(np.float32), np.ascontiguousarray(label)


class UntilTime(tf.keras.callbacks.Callback):
  """Lowers the rate with the time that is left; stops when there is none.

  StarDist would lower it on a plateau.
  """

  def __init__(self, rate: float, seconds: float):
    super().__init__()
    self._start, self._seconds = time.monotonic(), seconds
    self._rate = rate

  def on_train_batch_end(self, batch, logs=None):
    del batch, logs
    share = (time.monotonic() - self._start) / self._seconds
    tf.keras.backend.set_value(
        self.model.optimizer.lr, self._rate * max(0.01, 1 - share))
    self.model.stop_training = share >= 1


def train(images, labels, folder: pathlib.Path, minutes: float, patch: int,
          rate: float) -> StarDist2D:
  start = time.monotonic()
  chosen = np.random.default_rng(0).permutation(len(images))
  held_out, rest = chosen[::_HELD_OUT], np.delete(
      chosen, np.arange(0, len(chosen), _HELD_OUT))
  model = StarDist2D(
      Config2D(n_channel_in=3, n_rays=32, grid=(2, 2),
               train_patch_size=(patch, patch), train_batch_size=_BATCH,
               train_learning_rate=rate, train_tensorboard=False,
               train_reduce_lr=None),
      name=folder.name, basedir=str(folder.parent))
  model.prepare_for_training()
  # A tenth of the time is for the thresholds and the compilation.
  model.callbacks.append(UntilTime(rate, 54 * minutes))

  def pick(places):
    return [images[p] for p in places], [labels[p] for p in places]

  model.train(*pick(rest), validation_data=pick(held_out), augmenter=augment,
              epochs=10_000, steps_per_epoch=100)
  model.optimize_thresholds(*pick(held_out))
  print(f'trained in {(time.monotonic() - start) / 60:.1f} minutes')
  return model


def write(model, content, images, output: pathlib.Path) -> None:
  """Writes predictions in COCO's panoptic format."""
  thing = next(c['id'] for c in content['categories'] if c['isthing'])
  stuff = next(c['id'] for c in content['categories'] if not c['isthing'])
  output.mkdir(exist_ok=True)
  annotations = []
  for annotation, image in zip(content['annotations'], images):
    found, details = model.predict_instances(image)
    ids = found.astype(np.int64) + 1
    Image.fromarray(np.stack(
        [ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8)).save(
            output / annotation['file_name'])
    segments = [{'id': 1, 'category_id': stuff}] if (ids == 1).any() else []
    segments += [
        {'id': int(id_), 'category_id': thing,
         'score': float(details['prob'][id_ - 2])}
        for id_ in np.unique(ids[ids > 1])]
    for segment in segments:
      segment.update(area=int((ids == segment['id']).sum()), iscrowd=0)
    annotations.append({
        'image_id': annotation['image_id'],
        'file_name': annotation['file_name'], 'segments_info': segments})
  output.with_suffix('.json').write_text(json.dumps({
      'images': content['images'], 'categories': content['categories'],
      'annotations': annotations}))


def main() -> None:
  parser = argparse.ArgumentParser(
      description=__doc__,
      formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument('--data', type=pathlib.Path, required=True)
  parser.add_argument('--minutes', type=float, default=20.0)
  parser.add_argument('--patch', type=int, default=256,
                      help="side of a training image; StarDist's is 256")
  parser.add_argument('--rate', type=float, default=3e-4,
                      help="first learning rate; StarDist's is 3e-4")
  parser.add_argument('--output', type=pathlib.Path, required=True)
  arguments = parser.parse_args()
  for split in ('train', 'val'):
    file = arguments.data / 'annotations' / f'panoptic_{split}.json'
    if not file.is_file():
      parser.error(f'--data: expected a data set with {file}, found none')
  np.random.seed(0)
  tf.random.set_seed(0)
  _, images, labels = read(arguments.data, 'train')
  model = train(images, labels, arguments.output.with_name(
      arguments.output.name + '_model'), arguments.minutes, arguments.patch,
      arguments.rate)
  content, images, _ = read(arguments.data, 'val')
  write(model, content, images, arguments.output)


if __name__ == '__main__':
  main()
