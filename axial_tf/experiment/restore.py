"""From a training run's folder to its model."""

import dataclasses
import os
from typing import Optional, Tuple

import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import config
from axial_tf.files import paths, run_files
from axial_tf.inference import classification as classifier_inference
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.specs import class_spec, dataset_spec
from axial_tf.tasks import classification, panoptic, registry
from axial_tf.training import checkpoints


def load_inference(
    model_dir: str, checkpoint: Optional[str] = None
) -> panoptic_inference.PanopticInference:
  """Rebuilds the model that `model_dir` was trained with.

  Args:
    model_dir: folder of a training run.
    checkpoint: path of one of its checkpoints, see `checkpoints.find`; None
      takes the newest.

  Raises:
    errors.UserError: the folder holds no run or no checkpoint that fits.
  """
  settings, checkpoint = _task_settings(model_dir, checkpoint)
  if not isinstance(settings, panoptic.PanopticTaskSettings):
    raise errors.UserError(
        f'{model_dir}: expected a run of panoptic segmentation, got one of '
        f'classification; see axial_tf.ImageClassifier for what it can do')
  spec = dataset_spec.DatasetSpec.load(settings.spec)
  model = panoptic.build_model(settings, spec)
  checkpoints.restore_model(model, checkpoint)
  return panoptic.build_inference(settings, spec, model)


def load_classifier(
    model_dir: str, checkpoint: Optional[str] = None
) -> classifier_inference.ClassifierInference:
  """Rebuilds the classifier that `model_dir` was trained with.

  Args:
    model_dir: folder of a training run.
    checkpoint: path of one of its checkpoints, see `checkpoints.find`; None
      takes the newest.

  Raises:
    errors.UserError: the folder holds no run or no checkpoint that fits.
  """
  settings, checkpoint = _task_settings(model_dir, checkpoint)
  if not isinstance(settings, classification.ClassificationTaskSettings):
    raise errors.UserError(
        f'{model_dir}: expected a run of classification, got one of panoptic '
        f'segmentation; use axial_tf.Predictor for it')
  spec = class_spec.ClassSpec.load(settings.spec)
  model = classification.build_model(settings, spec)
  checkpoints.restore_model(model, checkpoint)
  return classifier_inference.ClassifierInference(
      model, spec, settings.data.image_size, settings.data.validation_resize)


def _task_settings(model_dir: str, checkpoint: Optional[str]
                   ) -> Tuple[registry.TaskSettings, str]:
  """Returns the task of a run, with its saved spec, and a checkpoint."""
  paths.require_reachable(model_dir)
  config_file = os.path.join(model_dir, run_files.CONFIG)
  checkpoint = (
      checkpoints.find(checkpoint) if checkpoint
      else checkpoints.latest(model_dir))
  if not tf.io.gfile.exists(config_file) or not checkpoint:
    raise errors.UserError(
        f'{model_dir}: expected the folder of a training run (config.gin and '
        f'a checkpoint); give the --model_dir that axial_tf.train wrote')
  settings = config.parse([config_file]).task
  spec_file = os.path.join(model_dir, registry.spec_file(settings))
  return dataclasses.replace(settings, spec=spec_file), checkpoint
