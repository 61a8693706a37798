"""Writes panoptic maps in the formats of Cityscapes' two older tasks.

Panoptic results have the format of `coco_results.PanopticWriter`; names of
images there are <city>_<sequence>_<frame>.
"""

import os
from typing import Mapping

import numpy as np

from axial_tf.evaluation import label_maps
from axial_tf.files import atomic_files, grey_png
from axial_tf.prediction.formats import coco as coco_results
from axial_tf.specs import dataset_spec


def write_label_ids(folder: str, name: str, panoptic: np.ndarray,
                    spec: dataset_spec.DatasetSpec) -> None:
  """Writes <name>_labelIds.png: the category id of each pixel, 0 on void.

  Args:
    folder: for the file.
    name: <city>_<sequence>_<frame>.
    panoptic: integers [height, width], panoptic labels.
    spec: what the labels mean.

  Raises:
    errors.UserError: a label is not legal or the file cannot be written.
  """
  label_maps.overlaps(panoptic, panoptic, spec)  # checks the labels
  table = np.zeros(max(spec.num_classes, spec.ignore_label + 1), np.uint8)
  for category in spec.categories:
    table[category.train_id] = category.id
  atomic_files.write(
      os.path.join(folder, f'{name}_labelIds.png'),
      grey_png.encode(table[np.asarray(panoptic) // spec.label_divisor]))


def write_instances(folder: str, name: str, panoptic: np.ndarray,
                    scores: Mapping[int, float],
                    spec: dataset_spec.DatasetSpec) -> None:
  """Writes <name>.txt and a mask of each thing, <name>_<number>.png.

  Args:
    folder: for the files.
    name: <city>_<sequence>_<frame>.
    panoptic: integers [height, width], panoptic labels.
    scores: by label, that of every thing.
    spec: what the labels mean.

  Raises:
    errors.UserError: a label is not legal, a thing has no score, or a file
      cannot be written.
  """
  segments = label_maps.overlaps(panoptic, panoptic, spec).true_segments
  lines = []
  for number, (_, label, train_id) in enumerate(
      coco_results.things(segments, scores, spec)):
    mask = f'{name}_{number:03d}.png'
    atomic_files.write(
        os.path.join(folder, mask),
        grey_png.encode(np.where(np.asarray(panoptic) == label, 255, 0)
                        .astype(np.uint8)))
    # The shortest text that gives the same number back.
    lines.append(f'{mask} {spec.category(train_id).id} {scores[label]!r}\n')
  # Last, as it names the others.
  atomic_files.write(
      os.path.join(folder, f'{name}.txt'), ''.join(lines).encode())
