"""Computes training targets of Panoptic-DeepLab from a panoptic label map.

The heads learn a semantic map, a heatmap with one Gaussian per instance center
and, for each pixel of a thing, the offset to the center of its instance
(Panoptic-DeepLab, section 3; weights from the technical report, section 2.1.4).

This takes two steps: `compact` is irregular work on one label, for the CPUs of
the input pipeline, and `expand` regular work on whole batches, for the device
of the model.
"""

import dataclasses
import math
from typing import Dict, Sequence

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.panoptic import (
  instance_centers,
  instance_maps,
  semantic_targets,
)


@dataclasses.dataclass(frozen=True)
class TargetSettings(semantic_targets.SemanticTargetSettings):
  """How labels become training targets, those of the classes included.

  Attributes:
    sigma: standard deviation of a center's Gaussian, in pixels of the crop.
    sigma_by_size: 0 for `sigma` everywhere, as in the paper. If not, a smaller
      instance has a narrower Gaussian, of this many radii, but at least 1 pixel
      and at most `sigma`; the radius is that of a disk of its visible area.
  """
  sigma: float = 8.0
  sigma_by_size: float = 0.0

  def __post_init__(self):
    super().__post_init__()
    settings_lib.require(
        0.0 < self.sigma < math.inf, self, 'sigma', 'a number above 0')
    settings_lib.require(
        0.0 <= self.sigma_by_size < math.inf, self, 'sigma_by_size',
        'a finite number >= 0')

  def sigma_of_area(self, area: tf.Tensor) -> tf.Tensor:
    """Standard deviations for visible areas in pixels, float32 [...]."""
    radius = tf.sqrt(area / math.pi)
    return tf.minimum(tf.maximum(self.sigma_by_size * radius, 1.0), self.sigma)

  @property
  def r2_unit(self) -> float:
    """Squared sigmas in a unit of `center_r2`."""
    return (instance_centers.RELATIVE_STEP if self.sigma_by_size
            else 1.0 / self.sigma**2)


def panoptic_targets(
    panoptic: tf.Tensor,
    *,
    thing_ids: Sequence[int],
    label_divisor: int,
    ignore_label: int,
    settings: TargetSettings = TargetSettings(),
) -> Dict[str, tf.Tensor]:
  """Turns an augmented and cropped label map into training targets.

  Args:
    panoptic: int32 `[height, width]`, train_id * label_divisor + instance.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`.
    ignore_label: train id of void.
    settings: see `TargetSettings`.

  Returns:
    See `expand`.
  """
  return expand(
      compact(panoptic, thing_ids=thing_ids, label_divisor=label_divisor,
              ignore_label=ignore_label, settings=settings),
      label_divisor=label_divisor, ignore_label=ignore_label,
      settings=settings)


def compact(
    panoptic: tf.Tensor,
    *,
    thing_ids: Sequence[int],
    label_divisor: int,
    ignore_label: int,
    settings: TargetSettings = TargetSettings(),
    compiled: bool = False,
) -> Dict[str, tf.Tensor]:
  """Returns the label and the other maps that `expand` needs.

  Args:
    panoptic: see `panoptic_targets`, as for all arguments up to `settings`.
    compiled: see `instance_maps`.

  Returns:
    `panoptic` and the results of `instance_maps.instance_maps`.
  """
  # Beyond its window of 6 sigma + 3 pixels, a center has no effect.
  maps = instance_maps.instance_maps(
      panoptic, thing_ids=thing_ids, label_divisor=label_divisor,
      ignore_label=ignore_label, small_area=settings.small_instance_area,
      reach=int(3 * settings.sigma + 1),
      sigma_of_area=settings.sigma_of_area if settings.sigma_by_size else None,
      compiled=compiled)
  return {'panoptic': panoptic, **maps}


def expand(
    maps: Dict[str, tf.Tensor],
    *,
    label_divisor: int,
    ignore_label: int,
    settings: TargetSettings = TargetSettings(),
) -> Dict[str, tf.Tensor]:
  """Computes the targets of a batch, or of one image, pixel by pixel.

  Args:
    maps: results of `compact`, `[..., height, width]` each.
    label_divisor: see `panoptic_targets`, as for all other arguments.

  Returns:
    A dict of maps `[..., height, width]`:
      semantic, semantic_weight: see `semantic_targets.semantic_targets`.
      center_heatmap: float32 in [0, 1]; 1 at centers, overlaps by maximum.
      center_weight: float32, 1 on all but ignored and crowd pixels.
      offset: float32 `[..., height, width, 2]`, (y, x) in pixels from the
        pixel to the rounded center of its instance; 0 outside instances.
      offset_weight: float32, 1 on pixels of instances, else 0.
  """
  kind, center = instance_maps.kind_and_center(maps['instance'])
  r2 = maps['center_r2']
  gaussian = tf.exp(tf.cast(r2, tf.float32) * (-0.5 * settings.r2_unit))
  is_instance = tf.cast(kind >= instance_maps.INSTANCE, tf.float32)
  pixel = tf.stack(tf.meshgrid(*(
      tf.range(tf.cast(tf.shape(kind)[axis], tf.float32)) for axis in (-2, -1)
  ), indexing='ij'), -1)  # [height, width, 2]
  return {
      **semantic_targets.semantic_targets(
          maps['panoptic'], kind, label_divisor=label_divisor,
          ignore_label=ignore_label, settings=settings),
      'center_heatmap': tf.where(r2 < r2.dtype.max, gaussian, 0.0),
      'center_weight': tf.cast(kind >= instance_maps.STUFF, tf.float32),
      'offset': (center - pixel) * is_instance[..., tf.newaxis],
      'offset_weight': is_instance,
  }
