"""Computes the training targets of SSAP from a panoptic label map.

As in `axial_tf.panoptic.targets`, `compact` is for the CPUs of the input
pipeline and `expand` for the device of the model. Affinities follow from the
label at each stride, see `affinity_targets`; the losses compute them.
"""

import dataclasses
from typing import Dict, Sequence

import tensorflow as tf

from axial_tf.panoptic import (
  instance_centers,
  instance_maps,
  label_ids,
  semantic_targets,
  shapes,
)
from axial_tf.panoptic.ssap import affinity_targets, decoding, edges, windows


@dataclasses.dataclass(frozen=True)
class AffinityTargetSettings(semantic_targets.SemanticTargetSettings):
  """How labels become training targets of the classes.

  Attributes:
    small_instance_weight: as there, but by default no larger than that of
      other pixels: a larger one is Panoptic-DeepLab's.
  """
  small_instance_weight: float = 1.0


def compact(
    panoptic: tf.Tensor,
    *,
    thing_ids: Sequence[int],
    label_divisor: int,
    ignore_label: int,
    settings: AffinityTargetSettings = AffinityTargetSettings(),
    compiled: bool = False,
) -> Dict[str, tf.Tensor]:
  """Returns the label and the kinds of its pixels.

  Args:
    panoptic: int32 `[height, width]`, train_id * label_divisor + instance.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`.
    ignore_label: train id of void.
    settings: see `AffinityTargetSettings`.
    compiled: see `instance_maps.instance_maps`.

  Returns:
    `panoptic`, and `kind` uint8 `[height, width]`, see `instance_maps`.
  """
  kinds = instance_maps.LabelKinds(thing_ids, label_divisor)
  slot, ends_here = kinds.find_runs(panoptic, ignore_label, compiled)
  kind = kinds.of_slot
  if settings.small_instance_weight != 1:  # Else their size does not matter.
    area, _ = instance_centers.areas_and_means(
        instance_centers.list_runs(slot, ends_here), len(kind))
    kind = tf.where(
        (kind == instance_maps.INSTANCE)
        & (area < settings.small_instance_area),
        instance_maps.SMALL_INSTANCE, kind)
  return {'panoptic': panoptic,
          'kind': tf.gather(tf.cast(kind, tf.uint8), slot)}


def expand(
    maps: Dict[str, tf.Tensor],
    *,
    label_divisor: int,
    ignore_label: int,
    settings: AffinityTargetSettings = AffinityTargetSettings(),
) -> Dict[str, tf.Tensor]:
  """Computes the targets of a batch.

  Args:
    maps: results of `compact`, `[batch, height, width]` each.
    label_divisor: see `compact`, as for all other arguments.

  Returns:
    `semantic` and `semantic_weight`, see `semantic_targets.semantic_targets`,
    and bool maps of this shape:
      is_counted: all but void and crowds; only these have affinities.
      is_instance: pixels of instances.
  """
  kind = maps['kind']
  return {
      **semantic_targets.semantic_targets(
          maps['panoptic'], kind, label_divisor=label_divisor,
          ignore_label=ignore_label, settings=settings),
      'is_counted': kind >= instance_maps.STUFF,
      'is_instance': kind >= instance_maps.INSTANCE,
  }


def heads(panoptic: tf.Tensor, *, thing_ids: Sequence[int], label_divisor: int,
          ignore_label: int, window: int = 5) -> Dict[str, tf.Tensor]:
  """Returns the heads of a network that knows the label.

  Args:
    panoptic: int32 [batch, height, width], of static size.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`.
    ignore_label: train id of void, and of what is added to the image.
    window: side of the window of affinities.

  Returns:
    The heads of a batch by name, see `decoding.decode`.
  """
  coarsest = windows.STRIDES[0]
  # Those of the padded image.
  ends = [-(-(n - 1) // coarsest) * coarsest
          for n in shapes.sizes(panoptic)[1:]]
  found = {}
  for stride in windows.STRIDES:
    level = affinity_targets.sampled(
        panoptic, stride, tuple(end // stride + 1 for end in ends),
        ignore_label * label_divisor)
    affinity = tf.cast(affinity_targets.affinity_targets(
        level, tf.ones_like(level, tf.bool), window)['affinity'], tf.float32)
    found[f'{decoding.EDGES}{stride}'] = edges.edge_weights(
        affinity, affinity, window=window, refine=False)
    # Crowds are things without an instance.
    found[f'{decoding.THINGS}{stride}'] = tf.cast(label_ids.member_mask(
        level // label_divisor, thing_ids), tf.float32)
  return found
