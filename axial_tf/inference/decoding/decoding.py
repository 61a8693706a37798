"""Defines how the heads of a network become a panoptic map."""

import abc
from typing import Dict, Tuple

import tensorflow as tf

from axial_tf.inference import multi_scale
from axial_tf.specs import dataset_spec


class Decoding(abc.ABC):
  """Averages a network's heads over views, and merges them.

  Attributes:
    HEADS: names of the heads beside 'semantic_probabilities'.
    COMPILES: whether XLA can compile `merge`, as TPUs require.
    settings: settings of the merging; each kind has `stuff_area_limit`.
    spec: the categories.
  """

  HEADS: Tuple[str, ...]
  COMPILES = True

  def __init__(self, settings, spec: dataset_spec.DatasetSpec):
    self.settings = settings
    self.spec = spec

  @property
  @abc.abstractmethod
  def max_instances(self) -> int:
    """The largest number of instances in a panoptic map."""

  @property
  def served_settings(self):
    """Settings of the merging in a served model, where no Python runs."""
    return self.settings

  @property
  def void_stuff_at_limit(self) -> bool:
    """Whether stuff of just `settings.stuff_area_limit` pixels is void, too."""
    return False

  @abc.abstractmethod
  def heads(self, network: multi_scale.Network, images: tf.Tensor,
            views: multi_scale.MultiScaleSettings) -> Dict[str, tf.Tensor]:
    """Returns the averaged heads.

    Args:
      network: see `multi_scale.Network`.
      images: float32 [batch, height, width, 3] in -1..1.
      views: views of an image.

    Returns:
      float32 'semantic_probabilities' [batch, height, width, classes] and
      those of `HEADS`.
    """

  @abc.abstractmethod
  def merge(self, heads: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
    """Returns panoptic maps.

    Args:
      heads: results of `heads`.

    Returns:
      'panoptic_map' int32 and 'score_map' float32 [batch, height, width], see
      `merging.merge`.
    """
