"""Computes the heads that an SSAP would have if it knew the label."""

from typing import Dict

import numpy as np
import tensorflow as tf

from axial_tf.data.panoptic import target_kinds
from axial_tf.panoptic.ssap import decoding
from axial_tf.panoptic.ssap import targets as affinity_targets
from axial_tf.specs import dataset_spec


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
  found = {name: values[0].numpy() for name, values in target_kinds.heads(
      tf.constant(panoptic)[tf.newaxis], spec,
      affinity_targets.AffinityTargetSettings()).items()}
  if noise:
    for name in found:
      if name.startswith(decoding.EDGES):
        found[name] += noise * rng.normal(size=found[name].shape).astype(
            np.float32)
  return found
