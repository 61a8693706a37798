"""Writes panoptic results in the older format of Mapillary Vistas.

An image in the folder instances/ stores 256 * class + instance in 16 bits,
where the class is its index in config.json and instances count from 0.
Panoptic results have the format of `coco.PanopticWriter`, with image names as
ids.
"""

import os
from typing import Sequence

import numpy as np

from axial_tf import errors
from axial_tf.files import atomic_files, images
from axial_tf.prediction import results

_INSTANCES = 256
_VOID = 'void--unlabeled'


def write_instances(folder: str, name: str, result: results.PanopticResult,
                    class_names: Sequence[str]) -> None:
  """Writes <name>.png.

  Args:
    folder: folder of the file.
    name: name of the image, without ending.
    result: segments of the image.
    class_names: the "name" of each label of config.json, in its order.

  Raises:
    errors.UserError: config.json lacks a class of the spec or
      'void--unlabeled', a class has more than 256 instances, or the file
      cannot be written.
  """
  spec = result.spec
  table = np.full(
      max(spec.num_classes, spec.ignore_label + 1),
      _place(_VOID, class_names), np.int64)
  for category in spec.categories:
    table[category.train_id] = _place(category.name, class_names)
  classes, instance = np.divmod(result.panoptic_map, spec.label_divisor)
  is_void = classes == spec.ignore_label
  instance = np.where(is_void, 0, np.maximum(instance - 1, 0))
  if instance.size and instance.max() >= _INSTANCES:
    raise errors.UserError(
        f'{name}: expected at most {_INSTANCES} instances of a class, the '
        f'limit of this format, got number {instance.max() + 1}; write the '
        f'panoptic format')
  values = table[classes] * _INSTANCES + instance
  atomic_files.write(os.path.join(folder, f'{name}.png'),
                    images.png_bytes(values.astype(np.uint16)))


def _place(name: str, class_names: Sequence[str]) -> int:
  if name not in class_names:
    raise errors.UserError(
        f'config.json: expected a class {name!r}, found none among its '
        f'{len(class_names)}; use the file of the version that the model has')
  return list(class_names).index(name)
