"""Packs training batches for the transfer to the device, and unpacks them.

`pack` runs in the input pipeline, `unpack` in the training step. In between,
a pixel takes 13 bytes instead of 52: less to write, to stack into batches and
to copy to accelerators.
"""

from typing import Dict

import tensorflow as tf

from axial_tf.data.common import resizing
from axial_tf.data.panoptic import target_kinds
from axial_tf.layers import compilation, padding
from axial_tf.specs import dataset_spec


def pack(image: tf.Tensor, panoptic: tf.Tensor, inside: tf.Tensor,
         spec: dataset_spec.DatasetSpec, settings: target_kinds.TargetSettings
         ) -> Dict[str, tf.Tensor]:
  """Collects what the device needs of one training example.

  Args:
    image: uint8 [height, width, 3] RGB, of static size.
    panoptic: int32 [height, width], its label.
    inside: int32 [4]: top, left, bottom, right of the part without padding.
    spec: spec of the data set.
    settings: settings of the training targets, whose type decides their kind.

  Returns:
    `image`, `inside` and the results of `compact` of the targets' kind.
  """
  return {
      'image': image,
      'inside': inside,
      **target_kinds.of(settings).compact(
          panoptic, thing_ids=spec.thing_ids,
          label_divisor=spec.label_divisor, ignore_label=spec.ignore_label,
          settings=settings, compiled=tf.inside_function()),
  }


def unpack(batch: Dict[str, tf.Tensor], spec: dataset_spec.DatasetSpec,
           settings: target_kinds.TargetSettings, kind: padding.Padding
           ) -> Dict[str, tf.Tensor]:
  """Computes the inputs of the network and its losses.

  Args:
    batch: results of `pack`, [batch, ...] each.
    spec: spec of the data set.
    settings: as in `pack`.
    kind: the padding that the network is trained with.

  Returns:
    image: float32 [batch, height, width, 3] in [-1, 1].
    The targets, [batch, ...], see `expand` of their kind.
  """

  def compute(batch):
    return {
        'image': resizing.to_model_range(
            padding.fill(batch['image'], batch['inside'], kind)),
        **target_kinds.of(settings).expand(
            batch, label_divisor=spec.label_divisor,
            ignore_label=spec.ignore_label, settings=settings),
    }

  # Without XLA, these operations take four times as long on CPUs.
  if compilation.elementwise_loops_pay():
    compute = tf.function(compute, autograph=False, jit_compile=True)
  return compute(batch)
