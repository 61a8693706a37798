"""Merges heads as often as settings change, in graphs that serve all sizes."""

import dataclasses
import functools
from typing import Dict, Mapping, Optional

import numpy as np
import tensorflow as tf

from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.inference.decoding import center_decoding
from axial_tf.panoptic import merging_settings
from axial_tf.specs import dataset_spec

# Graphs that are kept, each of some megabytes.
_GRAPHS = 8


class MergingAgain:
  """Merges the heads of Panoptic-DeepLab exactly as a prediction does.

  Tracing takes much longer than merging. So threshold and limit are inputs of a
  graph; there is one for each value of the other settings, the window above
  all, which is a number of operations.
  """

  def __init__(self, spec: dataset_spec.DatasetSpec,
               max_long_side: Optional[int], enlarge: bool):
    """Takes the attributes of `PanopticInference` with these names."""
    self._spec = spec
    self._size_rules = max_long_side, enlarge
    self._graph = functools.lru_cache(maxsize=_GRAPHS)(self._trace)

  def __call__(self, heads: Mapping[str, np.ndarray], height: int, width: int,
               settings: merging_settings.MergingSettings
               ) -> Dict[str, tf.Tensor]:
    """Returns what `PanopticInference.predict` returns for an image.

    Args:
      heads: the heads that `CenterDecoding` lists, with a batch axis.
      height: height of the image, which the network may have seen smaller.
      width: width of the image.
      settings: settings of the merging.
    """
    others = dataclasses.replace(
        settings, center_threshold=0.0, stuff_area_limit=0)
    return self._graph(others)(
        {name: tf.constant(head) for name, head in heads.items()},
        tf.constant(height), tf.constant(width),
        tf.constant(settings.center_threshold, tf.float32),
        tf.constant(settings.stuff_area_limit, tf.int32))

  def _trace(self, others: merging_settings.MergingSettings):
    inference = panoptic_inference.PanopticInference(
        _no_network, self._spec, others, *self._size_rules)
    number = tf.TensorSpec([], tf.int32)

    def merge(heads, height, width, threshold, limit):
      settings = _OfGraph(**{
          **dataclasses.asdict(others), 'center_threshold': threshold,
          'stuff_area_limit': limit})
      decoding = center_decoding.CenterDecoding(settings, self._spec)
      return inference.at_original_size(
          {**decoding.merge(heads), **heads}, height, width)

    return tf.function(merge, autograph=False, input_signature=[
        {'semantic_probabilities': tf.TensorSpec(
            [1, None, None, self._spec.num_classes]),
         'center_heatmap': tf.TensorSpec([1, None, None]),
         'offset': tf.TensorSpec([1, None, None, 2])},
        number, number, tf.TensorSpec([]), number])


@dataclasses.dataclass(frozen=True)
class _OfGraph(merging_settings.MergingSettings):
  """Settings of which two are tensors, checked before they became such."""

  def __post_init__(self):
    pass


def _no_network(*_, **__):
  raise AssertionError('heads are merged without the network')
