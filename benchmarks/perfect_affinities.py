"""Computes the heads that an SSAP would have if it knew the label."""

from typing import Dict

import numpy as np
import tensorflow as tf

from axial_tf.models import image_sizes
from axial_tf.panoptic import label_ids
from axial_tf.panoptic.ssap import (
  affinity_targets,
  decoding,
  edges,
  windows,
)
from axial_tf.specs import dataset_spec

_WINDOW = 5


def heads(panoptic: np.ndarray, spec: dataset_spec.DatasetSpec,
          noise: float = 0.0, seed: int = 0) -> Dict[str, np.ndarray]:
  """Returns the heads of one image, see `decoding.decode`.

  Args:
    panoptic: int32 [height, width], the label.
    spec: the categories.
    noise: standard deviation of what is added to the weights, +-11.5.
    seed: seed of the noise.
  """
  rng = np.random.default_rng(seed)
  size = panoptic.shape
  label = tf.constant(panoptic)[tf.newaxis]
  found = {}
  for stride in windows.STRIDES:
    cells = tuple(
        (image_sizes.legal(n, windows.STRIDES[0]) - 1) // stride + 1
        for n in size)
    level = affinity_targets.sampled(label, stride, cells, spec.void_label)
    targets = affinity_targets.affinity_targets(
        level, tf.ones_like(level, tf.bool), _WINDOW)
    affinity = tf.cast(targets['affinity'], tf.float32)
    weights = edges.edge_weights(
        affinity, affinity, window=_WINDOW, refine=False)[0].numpy()
    if noise:
      weights += noise * rng.normal(size=weights.shape).astype(np.float32)
    # Crowds are things without an instance.
    things = label_ids.member_mask(
        (level // spec.label_divisor)[0].numpy(), spec.thing_ids)
    found[f'{decoding.EDGES}{stride}'] = weights
    found[f'{decoding.THINGS}{stride}'] = things.astype(np.float32)
  return found
