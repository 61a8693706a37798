"""Describes how a kind of panoptic network learns, for the panoptic task."""

from typing import Callable, Dict, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf

from axial_tf.specs import dataset_spec

Losses = Callable[..., Dict[str, tf.Tensor]]
Pictures = Callable[..., Dict[str, np.ndarray]]


class Method(NamedTuple):
  """One row for each kind of network.

  Attributes:
    losses: (outputs, targets, *, ignore_label, settings, logits_stride,
      panoptic) -> float32 [batch] by name, as `losses.panoptic_losses`.
    values: names of the losses that a training reports, beside their sum.
    loss_settings: class of the losses' settings.
    target_settings: class of the targets' settings.
    merging_settings: class of the merging's settings.
    default_merging: spec -> settings of the merging where a task has none.
  """

  losses: Losses
  values: Tuple[str, ...]
  loss_settings: type
  target_settings: type
  merging_settings: type
  default_merging: Callable[[dataset_spec.DatasetSpec], object]

  def misfit(self, losses, targets, merging: Optional[object]
             ) -> Optional[Tuple[str, type, type]]:
    """Returns the first settings of another kind: name, expected, given."""
    for name, given, expected in (
        ('PanopticTaskSettings.losses', losses, self.loss_settings),
        ('PanopticDataSettings.targets', targets, self.target_settings),
        ('PanopticTaskSettings.merging', merging, self.merging_settings)):
      if given is not None and not isinstance(given, expected):
        return name, expected, type(given)
    return None
