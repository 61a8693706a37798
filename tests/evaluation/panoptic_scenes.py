"""Random panoptic ground truths and predictions, written as COCO does."""

import dataclasses
import json
from typing import Any, Dict, List

import numpy as np
from PIL import Image

CATEGORIES = [
    {'id': 7, 'name': 'road', 'isthing': 0},
    {'id': 200, 'name': 'sky', 'isthing': 0},
    {'id': 3, 'name': 'car', 'isthing': 1},
    {'id': 11, 'name': 'cat', 'isthing': 1}]
_THINGS = (3, 11)


@dataclasses.dataclass
class Side:
  """One map of segment ids, 0 for void, and the list of its segments."""

  ids: np.ndarray
  segments: List[Dict[str, Any]]

  def annotation(self, image_id) -> Dict[str, Any]:
    return {'image_id': image_id, 'file_name': f'{image_id}.png',
            'segments_info': self.segments}


def scene(rng: np.random.Generator, max_side: int = 30):
  """Returns truth and prediction with void, crowds and different segments."""
  height, width = rng.integers(1, max_side + 1, 2)
  truth = np.zeros([height, width], np.int64)
  # Ids up to 24 bits in any order; per class of stuff there is one.
  ids = rng.choice(2**24 - 1, 14, replace=False) + 1
  categories = [7, 200] + list(rng.choice(_THINGS, 12))

  def paint(canvas, boxes):
    for _ in range(boxes):
      top, left = rng.integers(height), rng.integers(width)
      canvas[top:top + rng.integers(1, height + 1),
             left:left + rng.integers(1, width + 1)] = rng.choice(
                 [0, *ids, *ids])

  paint(truth, rng.integers(0, 9))
  prediction = np.roll(truth, rng.integers(0, 3), axis=1)
  paint(prediction, rng.integers(0, 5))
  if rng.random() < 0.1:
    prediction[:] = 0
  sides = []
  for labels in (truth, prediction):
    segments = []
    for segment_id in rng.permutation(np.unique(labels[labels > 0])).tolist():
      category = int(categories[ids.tolist().index(segment_id)])
      segments.append({
          'id': segment_id, 'category_id': category,
          'area': int((labels == segment_id).sum()), 'bbox': [0, 0, 1, 1],
          'iscrowd': int(labels is truth and category in _THINGS
                         and rng.random() < 0.4)})
    sides.append(Side(labels, segments))
  return sides


def write(sides: List[Side], path, categories=None) -> str:
  """Writes X.json and the folder X; image ids count from 0."""
  folder = path.with_suffix('')
  folder.mkdir(parents=True, exist_ok=True)
  for number, side in enumerate(sides):
    write_ids(side.ids, folder / f'{number}.png')
  path.write_text(json.dumps({
      'images': [{'id': n, 'file_name': f'{n}.jpg', 'height': s.ids.shape[0],
                  'width': s.ids.shape[1]} for n, s in enumerate(sides)],
      'annotations': [s.annotation(n) for n, s in enumerate(sides)],
      'categories': categories or CATEGORIES}))
  return str(path)


def write_ids(ids: np.ndarray, path) -> None:
  """Writes a map of segment ids as R + 256 G + 65536 B."""
  Image.fromarray(np.stack(
      [ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
  ).save(path)
