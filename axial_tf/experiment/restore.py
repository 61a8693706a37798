"""Rebuilds the model of a training run from the run's folder."""

import dataclasses
import os
from typing import Optional, Union

import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import config, tuned
from axial_tf.files import model_folders
from axial_tf.inference import classification as classifier_inference
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.tasks import registry
from axial_tf.training import checkpoints

Inference = Union[
    panoptic_inference.PanopticInference,
    classifier_inference.ClassifierInference]


def load_inference(
    model_dir: str, checkpoint: Optional[str] = None) -> Inference:
  """Rebuilds the model that `model_dir` was trained with, tuned if it was.

  Args:
    model_dir: folder of a training run.
    checkpoint: path of one of its checkpoints, see `checkpoints.find`; None
      takes the newest.

  Raises:
    errors.UserError: the folder holds no run or no checkpoint that fits.
  """
  config_file = os.path.join(model_dir, model_folders.CONFIG)
  checkpoint = (
      checkpoints.find(checkpoint) if checkpoint
      else checkpoints.latest(model_dir))
  if not tf.io.gfile.exists(config_file) or not checkpoint:
    raise errors.UserError(
        f'{model_dir}: expected the folder of a training run (config.gin and '
        f'a checkpoint); give the --model_dir that axial_tf.train wrote')
  settings = config.parse([config_file]).task
  row = registry.of(settings)
  # The labels are those that the model was trained on.
  settings = dataclasses.replace(
      settings, spec=os.path.join(model_dir, row.task.spec_file))
  spec = row.load_spec(settings)
  settings = tuned.apply(settings, spec, model_dir)
  model = row.build_model(settings, spec)
  checkpoints.restore_model(model, checkpoint)
  return row.build_inference(settings, spec, model)
