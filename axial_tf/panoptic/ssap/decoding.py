"""Decodes the heads of one image into a panoptic map, without TensorFlow."""

from typing import List, Mapping, Sequence

import numpy as np

from axial_tf.panoptic.ssap import cascade, pixel_labels, windows
from axial_tf.panoptic.ssap.cascade_settings import CascadeSettings

# Names of the heads of all levels, by what follows them.
EDGES, THINGS = 'edge_weights_', 'things_'
HEADS = tuple(f'{name}{stride}' for stride in windows.STRIDES
              for name in (EDGES, THINGS))


def decode(
    heads: Mapping[str, np.ndarray], category: np.ndarray, *, classes: int,
    thing_ids: Sequence[int], label_divisor: int, void_label: int,
    settings: CascadeSettings) -> np.ndarray:
  """Partitions the levels and labels the pixels of an image.

  Args:
    heads: heads by name: 'edge_weights_S' float32 [h, w, edges of a pixel] and
      'things_S' [h, w], 1 on things and 0 elsewhere, for each stride S; see
      `edges.level_maps`.
    category: int32 [height, width], the most probable classes.
    classes: number of semantic classes.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`.
    void_label: the panoptic label of pixels without a result.
    settings: see `CascadeSettings`.

  Returns:
    See `pixel_labels.panoptic_labels`.
  """
  return pixel_labels.panoptic_labels(
      partitions(heads, settings)[-1], category, stride=settings.stop_stride,
      window=window_of(heads), classes=classes, thing_ids=thing_ids,
      label_divisor=label_divisor, void_label=void_label, settings=settings)


def partitions(heads: Mapping[str, np.ndarray], settings: CascadeSettings
               ) -> List[np.ndarray]:
  """Returns the segments of each stride of the settings, int32 [h, w]."""
  return cascade.partition([
      cascade.Level(heads[f'{EDGES}{stride}'], heads[f'{THINGS}{stride}'] > 0)
      for stride in settings.strides])


def window_of(heads: Mapping[str, np.ndarray]) -> int:
  """Returns the side of the window of affinities."""
  return windows.side(2 * heads[f'{EDGES}{windows.STRIDES[0]}'].shape[-1] + 1)
