"""Tiny exports of annotation tools: three images of 8 x 6 (height x width).

Each has a cat in its upper left corner, and the first also a dog that overlaps
its lower right pixel. 'bird' has no annotation.
"""

import json

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 8, 6
NAMES = ('a_1', 'a_2', 'b_1')
CAT, DOG, BIRD = 1, 2, 3
COLORS = {0: (0, 0, 0), CAT: (128, 0, 0), DOG: (0, 128, 0), BIRD: (0, 0, 128)}


def rectangle(x, y, width, height):
  """Polygon [x, y, ...] of a rectangle, in pixels."""
  return [x, y, x + width, y, x + width, y + height, x, y + height]


def image(path, size=(WIDTH, HEIGHT), seed=0):
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.random.default_rng(seed).integers(
      0, 256, [size[1], size[0], 3], np.uint8)
  Image.fromarray(pixels).save(path)


def instances(names=NAMES, prefix='', ending='.png'):
  """Content of a COCO instance JSON."""
  annotations = []
  for number, _ in enumerate(names, 1):
    annotations.append({
        'id': len(annotations) + 1, 'image_id': number, 'category_id': CAT,
        'segmentation': [rectangle(0, 0, 3, 3)], 'iscrowd': 0, 'area': 9,
        'bbox': [0, 0, 3, 3]})
  annotations.append({
      'id': len(annotations) + 1, 'image_id': 1, 'category_id': DOG,
      'segmentation': [rectangle(2, 2, 4, 4)], 'iscrowd': 0})
  return {
      'images': [
          {'id': number, 'file_name': f'{prefix}{name}{ending}',
           'height': HEIGHT, 'width': WIDTH}
          for number, name in enumerate(names, 1)],
      'categories': [{'id': CAT, 'name': 'cat', 'supercategory': ''},
                     {'id': DOG, 'name': 'dog', 'supercategory': ''},
                     {'id': BIRD, 'name': 'bird', 'supercategory': ''}],
      'annotations': annotations}


def write_json(path, content):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(content))


def cvat(root, names=NAMES):
  """COCO 1.0 of CVAT, with images."""
  content = instances(names)
  for order, annotation in enumerate(content['annotations']):
    annotation['attributes'] = {'occluded': False, 'z_order': -order}
  write_json(root / 'annotations' / 'instances_default.json', content)
  for name in names:
    image(root / 'images' / f'{name}.png')


def label_studio(root, names=NAMES):
  """COCO with images of Label Studio, on Windows."""
  write_json(root / 'result.json', instances(names, prefix='images\\'))
  for name in names:
    image(root / 'images' / f'{name}.png')


def roboflow(root, names=NAMES):
  """COCO segmentation of Roboflow: a category for all, and 'valid'."""
  for split, part in (('train', names[:2]), ('valid', names[2:])):
    content = instances(part)
    content['categories'].insert(
        0, {'id': 0, 'name': 'cat', 'supercategory': 'none'})
    write_json(root / split / '_annotations.coco.json', content)
    for name in part:
      image(root / split / f'{name}.png')


def labelme2coco(root, names=NAMES):
  """What the script of labelme writes."""
  write_json(root / 'annotations.json', instances(names, prefix='JPEGImages/'))
  for name in names:
    image(root / 'JPEGImages' / f'{name}.png')


def classes():
  """Ids [8, 6] of a first image: 0 where nothing is annotated."""
  result = np.zeros([HEIGHT, WIDTH], np.uint8)
  result[:3, :3] = CAT
  result[2:6, 2:6] = DOG
  return result


def colored(ids):
  return np.array([COLORS[i] for i in range(4)], np.uint8)[ids]


def save(path, array, palette=None):
  path.parent.mkdir(parents=True, exist_ok=True)
  result = Image.fromarray(array)
  if palette is not None:
    result.putpalette(np.array(palette, np.uint8).tobytes())
  result.save(path)


def cvat_masks(root, names=NAMES):
  """Segmentation mask 1.1 of CVAT, with images."""
  for name in names:
    image(root / 'JPEGImages' / f'{name}.png')
    save(root / 'SegmentationClass' / f'{name}.png', colored(classes()))
    save(root / 'SegmentationObject' / f'{name}.png', colored(classes()))
  (root / 'labelmap.txt').write_text(
      '# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\n'
      'dog:0,128,0::\nbird:0,0,128::\n')
  lists = root / 'ImageSets' / 'Segmentation'
  lists.mkdir(parents=True)
  (lists / 'default.txt').write_text('\n'.join(names) + '\n')


def labelme2voc(root, names=NAMES):
  """What the script of labelme writes."""
  palette = [COLORS[i] for i in range(4)] + [(9, 9, 9)] * 252
  for name in names:
    image(root / 'JPEGImages' / f'{name}.jpg')
    for kind in ('SegmentationClass', 'SegmentationObject'):
      save(root / kind / f'{name}.png', classes(), palette)
    np.save(root / 'SegmentationClass' / f'{name}.npy', classes())
  (root / 'class_names.txt').write_text('_background_\ncat\ndog\nbird')


def folders(root, split='', names=NAMES):
  """images/, semantic/ and instances/, perhaps of a split."""
  for name in names:
    image(root / 'images' / split / f'{name}.png')
    save(root / 'semantic' / split / f'{name}.png', classes())
    save(root / 'instances' / split / f'{name}.png',
         classes().astype(np.uint16) * 300)
