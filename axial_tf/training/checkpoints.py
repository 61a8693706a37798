"""Reading checkpoints, with a clear word when they do not fit the model."""

import os
from typing import Optional

import numpy as np
import tensorflow as tf

from axial_tf import errors


def latest(model_dir: str) -> Optional[str]:
  """Returns the newest checkpoint of a run, or None."""
  return tf.train.latest_checkpoint(model_dir)


def restore_model(model: tf.keras.Model, checkpoint: str) -> None:
  """Loads the weights of a built model from a training checkpoint.

  Raises:
    errors.UserError: the checkpoint lacks a variable of the model, holds one
      in another shape or with values that are not finite, or cannot be read.
  """
  require_match(model, checkpoint)
  try:
    status = tf.train.Checkpoint(model=model).read(checkpoint)
    status.expect_partial().assert_existing_objects_matched()
  except (tf.errors.OpError, AssertionError, IndexError, ValueError
          ) as error:
    raise errors.UserError(
        f'{checkpoint}: cannot be read as a checkpoint of this model '
        f'({errors.first_line(error)}); it may be damaged or of another model: '
        f'choose another checkpoint or model_dir') from error
  for variable in model.variables:
    if variable.dtype.is_floating and not np.isfinite(variable.numpy()).all():
      raise errors.UserError(
          f'{checkpoint}: {variable.name} is not finite (NaN or infinity), the '
          f'training has diverged; choose an earlier checkpoint, or train '
          f'with a lower learning rate')


def require_match(model: tf.keras.Model, checkpoint: str) -> None:
  """Checks names and shapes of all model variables without loading them."""
  try:
    stored = dict(tf.train.list_variables(checkpoint))
  except (tf.errors.OpError, ValueError) as error:
    raise errors.UserError(
        f'{checkpoint}: cannot be read as a checkpoint '
        f'({errors.first_line(error)}); choose another checkpoint or '
        f'model_dir') from error
  stored_shapes = sorted(
      tuple(shape) for name, shape in stored.items()
      if name.startswith('model/') and '/.OPTIMIZER_SLOT/' not in name
      and name.endswith('VARIABLE_VALUE'))
  shapes = sorted(tuple(v.shape.as_list()) for v in model.variables)
  if stored_shapes != shapes:
    raise errors.UserError(
        f'{checkpoint}: is a checkpoint of another model ({len(stored_shapes)}'
        f' variables with {_count(stored_shapes):,} numbers; the configured '
        f'model has {len(shapes)} with {_count(shapes):,}); give another '
        f'--model_dir or the configuration that belongs to '
        f'{os.path.dirname(checkpoint)}')


def _count(shapes) -> int:
  return sum(int(tf.TensorShape(shape).num_elements()) for shape in shapes)
