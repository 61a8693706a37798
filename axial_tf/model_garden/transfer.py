"""Initializes a backbone of the Model Garden from a run of ours."""

import tensorflow as tf

from axial_tf.keras2 import keras
from axial_tf.training import checkpoints, initialization

# Where our models have their stem; the Model Garden's have it deeper.
_OURS = f'{checkpoints.MODEL}backbone/stem/'


class _Backbone(tf.Module):
  """Gives the weights of a backbone the names that our models have for them."""

  def __init__(self, network: keras.Model):
    super().__init__()
    self.backbone = network


def is_ours(path: str) -> bool:
  """Whether a checkpoint is of a training run of ours.

  Args:
    path: path of a checkpoint, or of the folder of a run.

  Raises:
    errors.UserError: there is no checkpoint, or it is damaged.
  """
  checkpoint = checkpoints.find(path)
  with checkpoints.reading_errors(checkpoint):
    names = checkpoints.reader(checkpoint).get_variable_to_shape_map()
  return any(name.startswith(_OURS) for name in names)


def load(network: keras.Model, path: str) -> initialization.LoadReport:
  """Loads all weights of a run of ours that fit a backbone.

  The run is of any task: a classifier or a panoptic model. Averaged weights are
  preferred where it has them.

  Args:
    network: our backbone, built; of a Model Garden model it is
      `model.backbone.network`.
    path: path of a checkpoint, or of the folder of a run.

  Raises:
    errors.UserError: there is no checkpoint, or none of its weights fits.
  """
  return initialization.load(_Backbone(network), path)
