"""Writes panoptic results in the formats of Cityscapes' two older tasks.

Panoptic results have the format of `coco.PanopticWriter`, with image names
<city>_<sequence>_<frame>.
"""

import os

import numpy as np

from axial_tf.files import atomic_files, images
from axial_tf.prediction import results


def write_label_ids(folder: str, name: str, result: results.PanopticResult
                    ) -> None:
  """Writes <name>_labelIds.png: the category id of each pixel, 0 on void.

  Args:
    folder: folder of the file.
    name: <city>_<sequence>_<frame>.
    result: segments of the image.

  Raises:
    errors.UserError: the file cannot be written.
  """
  spec = result.spec
  table = np.zeros(max(spec.num_classes, spec.ignore_label + 1), np.uint8)
  for category in spec.categories:
    table[category.train_id] = category.id
  atomic_files.write(
      os.path.join(folder, f'{name}_labelIds.png'),
      images.png_bytes(table[result.panoptic_map // spec.label_divisor]))


def write_instances(folder: str, name: str, result: results.PanopticResult
                    ) -> None:
  """Writes <name>.txt and a mask of each thing, <name>_<number>.png.

  Args:
    folder: folder of the files.
    name: <city>_<sequence>_<frame>.
    result: segments of the image, of which every thing has a score.

  Raises:
    errors.UserError: a thing has no score, or a file cannot be written.
  """
  lines = []
  for number, thing in enumerate(result.things()):
    mask = f'{name}_{number:03d}.png'
    atomic_files.write(
        os.path.join(folder, mask), images.png_bytes(
            np.uint8(255) * (result.panoptic_map == thing.id)))
    # The shortest text that parses to the same number.
    lines.append(f'{mask} {thing.category} {thing.score!r}\n')
  # Written last, as it refers to the masks.
  atomic_files.write(
      os.path.join(folder, f'{name}.txt'), ''.join(lines).encode())
