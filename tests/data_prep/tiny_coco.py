"""A tiny data set in the layout of COCO panoptic, and its spec."""

import json

import numpy as np
from PIL import Image

from axial_tf.specs import dataset_spec

SPEC = dataset_spec.DatasetSpec(
    name='tiny', label_divisor=10, ignore_label=9, categories=(
        dataset_spec.Category(100, 0, 'ground', False, (1, 1, 1)),
        dataset_spec.Category(30, 1, 'cat', True, (2, 2, 2))))
# Segment ids of the label below; they use all three channels.
GROUND, CAT, OTHER_CAT, HEAP = 7, 256 * 3 + 1, 65536 * 2, 65536 * 200 + 5


class TinyCoco:
  """A folder with images of 8 x 6 (height x width) and its JSON."""

  def __init__(self, root, split='val', images='images', num_images=3):
    self.root = root
    self.split = split
    self.image_dir = root / split if images == 'flat' else (
        root / 'images' / split)
    self.json_path = root / 'annotations' / f'panoptic_{split}.json'
    self.label_dir = self.json_path.with_suffix('')
    self.image_dir.mkdir(parents=True)
    self.label_dir.mkdir(parents=True)
    self.content = {'images': [], 'annotations': [], 'categories': [
        {'id': 100, 'name': 'ground', 'isthing': 0, 'color': [1, 1, 1]},
        {'id': 30, 'name': 'cat', 'isthing': 1, 'color': [2, 2, 2]}]}
    for index in range(num_images):
      self._add(index)
    self.write_json()

  def _add(self, index):
    ids = self.label()
    rng = np.random.default_rng(index)
    Image.fromarray(rng.integers(0, 256, [8, 6, 3], np.uint8)).save(
        self.image_dir / f'{index}.jpg', quality=95)
    self.write_label(index, ids)
    self.content['images'].append(
        {'id': 40 + index, 'file_name': f'{index}.jpg', 'height': 8,
         'width': 6})
    self.content['annotations'].append({
        'image_id': 40 + index, 'file_name': f'{index}.png',
        'segments_info': [
            {'id': segment, 'category_id': category, 'iscrowd': crowd,
             'area': int((ids == segment).sum()), 'bbox': [0, 0, 1, 1]}
            for segment, category, crowd in (
                (HEAP, 30, 1), (CAT, 30, 0), (OTHER_CAT, 30, 0),
                (GROUND, 100, 0))]})

  def label(self):
    """Segment ids int32 [8, 6]; the last row is void."""
    ids = np.full([8, 6], GROUND, np.int32)
    ids[:3, :2] = CAT
    ids[1:3, 3:] = OTHER_CAT
    ids[5, 2:4] = HEAP
    ids[7] = 0
    return ids

  def panoptic(self):
    """What `label` becomes with divisor 10: ground 0, cat 1, void 9."""
    values = {GROUND: 0, CAT: 11, OTHER_CAT: 12, HEAP: 10, 0: 90}
    return np.vectorize(values.get)(self.label()).astype(np.int32)

  def write_label(self, index, ids):
    rgb = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1)
    Image.fromarray(rgb.astype(np.uint8)).save(self.label_dir / f'{index}.png')

  def write_json(self):
    self.json_path.write_text(json.dumps(self.content))

  def segments(self, index):
    return self.content['annotations'][index]['segments_info']
