"""Makes photo-like images with labels, in COCO's layout and size."""

import json
import pathlib
import tempfile

import numpy as np
from PIL import Image, ImageFilter

_HEIGHT, _WIDTH = 480, 640
_DISTINCT = 8


def make(root: pathlib.Path, count: int) -> str:
  """Writes photo-like images with labels and a spec; returns the spec's path.
  """
  images, labels = root / 'val', root / 'annotations' / 'panoptic_val'
  images.mkdir(parents=True)
  labels.mkdir(parents=True)
  content = {'images': [], 'annotations': []}
  drawn = [_draw(np.random.default_rng(i)) for i in range(_DISTINCT)]
  for number in range(count):
    image, label, segments = drawn[number % _DISTINCT]
    name = f'{number:06d}'
    (images / f'{name}.jpg').write_bytes(image)
    (labels / f'{name}.png').write_bytes(label)
    content['images'].append({
        'id': number, 'file_name': f'{name}.jpg', 'height': _HEIGHT,
        'width': _WIDTH})
    content['annotations'].append({
        'image_id': number, 'file_name': f'{name}.png',
        'segments_info': segments})
  labels.with_suffix('.json').write_text(json.dumps(content))
  spec = root / 'spec.json'
  spec.write_text(json.dumps({
      'name': 'blobs', 'label_divisor': 256, 'ignore_label': 255,
      'categories': [{'id': 1, 'train_id': 0, 'name': 'blob',
                      'is_thing': True, 'color': [1, 2, 3]}]}))
  return str(spec)


def _draw(rng):
  """Returns a noisy JPEG, a label PNG of smooth segments, segments_info."""
  coarse = Image.fromarray(rng.integers(0, 256, [15, 20], np.uint8)).resize(
      (_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
  ids = np.asarray(coarse).astype(np.int32) // 12 + 1
  pixels = np.asarray(coarse)[..., np.newaxis] // 2 + rng.integers(
      0, 128, [_HEIGHT, _WIDTH, 3], np.uint8)
  photo = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1))
  label = np.zeros([_HEIGHT, _WIDTH, 3], np.uint8)
  label[..., 0] = ids
  files = []
  with tempfile.TemporaryDirectory() as folder:
    for picture, name in ((photo, 'a.jpg'), (Image.fromarray(label), 'a.png')):
      path = pathlib.Path(folder) / name
      picture.save(path)
      files.append(path.read_bytes())
  return (*files, [
      {'id': int(i), 'category_id': 1, 'iscrowd': 0,
       'area': int((ids == i).sum())} for i in np.unique(ids)])
