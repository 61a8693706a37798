"""Counts parameters and multiply-adds of a variant, next to published ones."""

import dataclasses
from typing import List

import tensorflow as tf

from axial_tf.models import variants

# Sizes of the paper's counts are multiples of this; ours have one pixel more.
_GRID = 16
_IMAGENET = variants.Published(0.0, 0.0, 224, 224, '')
_CITYSCAPES = variants.Published(0.0, 0.0, 1025, 2049, '')


@dataclasses.dataclass(frozen=True)
class Count:
  """The cost of a model for one image.

  Attributes:
    name: name of the variant.
    height: height of the image.
    width: width of the image.
    params_m: trainable parameters, in millions.
    params_without_bn_m: the same without batch norm's gamma and beta, as the
      paper counts.
    madds_b: multiply-adds, in billions.
    aligned_madds_b: the same without the one row and column of pixels that
      align corners (1024 instead of 1025), as the paper counts.
    published: figures of the paper; counts of 0 where it has none.
  """
  name: str
  height: int
  width: int
  params_m: float
  params_without_bn_m: float
  madds_b: float
  aligned_madds_b: float
  published: variants.Published

  @property
  def params_difference(self) -> float:
    """Difference of params_without_bn_m from the published, in percent."""
    return 100 * (self.params_without_bn_m / self.published.params_m - 1)

  @property
  def madds_difference(self) -> float:
    """Difference of madds_b from the published, in percent."""
    return 100 * (self.madds_b / self.published.madds_b - 1)

  @property
  def aligned_difference(self) -> float:
    """Difference of aligned_madds_b from the published, in percent."""
    return 100 * (self.aligned_madds_b / self.published.madds_b - 1)


def count(name: str, variant: variants.Variant) -> List[Count]:
  """Counts a variant at each image size for which the paper has figures.

  The model is built on a tiny image, and its multiply-adds at the real sizes
  are computed, not run.
  """
  model = variant.build()
  side = 2 * variant.backbone.output_stride + 1
  model(tf.zeros([1, side, side, 3]))
  sizes = {is_norm: sum(
      v.shape.num_elements() for v in model.trainable_variables
      if is_batch_norm(v) == is_norm) for is_norm in (False, True)}
  default = _CITYSCAPES if variant.is_panoptic else _IMAGENET
  counts = []
  for published in variant.published or (default,):
    height, width = published.height, published.width
    madds = aligned = model.multiply_adds(height, width)
    if variant.is_panoptic:
      aligned = model.multiply_adds(
          height // _GRID * _GRID, width // _GRID * _GRID, padded=False)
    counts.append(Count(
        name, height, width, sum(sizes.values()) / 1e6, sizes[False] / 1e6,
        madds / 1e9, aligned / 1e9, published))
  return counts


def is_batch_norm(variable: tf.Variable) -> bool:
  return variable.name.split('/')[-1].split(':')[0] in ('gamma', 'beta')
