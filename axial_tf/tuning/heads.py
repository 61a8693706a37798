"""Stores what the merging needs of the network's outputs, small and exact.

These are the most probable class of each pixel, the heat above the lowest
threshold of the search, and the offsets of things: about 4 bytes a pixel, on
disk, whatever the number of images.
"""

import os
from typing import Any, Dict, Mapping, NamedTuple

import numpy as np

from axial_tf.specs import dataset_spec

# What a comparison with the truth needs, besides the prediction.
TRUTH = ('panoptic', 'height', 'width', 'raw_height', 'raw_width')


class Image(NamedTuple):
  """A validation image whose heads are in a file.

  Attributes:
    name: name of the image, '' if its record has none.
    place: its place in the records.
    path: path of the file.
  """

  name: str
  place: int
  path: str


def write(path: str, outputs: Mapping[str, np.ndarray],
          truth: Mapping[str, Any], spec: dataset_spec.DatasetSpec,
          threshold: float) -> None:
  """Stores one image.

  Args:
    path: path of the file, ending in .npz.
    outputs: 'semantic' int32 [height, width], 'center_heatmap' and 'offset'.
    truth: `TRUTH` of the image.
    spec: the categories.
    threshold: heat up to this value is not stored.
  """
  semantic, heat = outputs['semantic'], outputs['center_heatmap']
  hot = np.flatnonzero(heat > threshold)
  small = np.min_scalar_type(spec.num_classes)
  np.savez(
      path, semantic=semantic.astype(small), hot=hot,
      heat=heat.reshape(-1)[hot],
      offset=outputs['offset'][np.isin(semantic, spec.thing_ids)],
      **{key: truth[key] for key in TRUTH})


def read(path: str, spec: dataset_spec.DatasetSpec) -> Dict[str, np.ndarray]:
  """Returns 'semantic', 'center_heatmap', 'offset' and `TRUTH` of an image.

  The heat that was not stored is 0, and so are offsets outside things.
  """
  with np.load(path) as stored:
    image = {key: stored[key] for key in TRUTH}
    semantic = stored['semantic'].astype(np.int32)
    heat = np.zeros(semantic.size, np.float32)
    heat[stored['hot']] = stored['heat']
    offset = np.zeros([*semantic.shape, 2], np.float32)
    offset[np.isin(semantic, spec.thing_ids)] = stored['offset']
  return {**image, 'semantic': semantic, 'offset': offset,
          'center_heatmap': heat.reshape(semantic.shape)}


def path_of(folder: str, place: int) -> str:
  """Returns the path of an image's file."""
  return os.path.join(folder, f'{place}.npz')
