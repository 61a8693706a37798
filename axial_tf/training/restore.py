"""From a training run's folder to a model that segments images."""

import dataclasses
import os
from typing import Optional

from axial_tf import config, errors
from axial_tf.data import dataset_spec
from axial_tf.models import panoptic_inference
from axial_tf.tasks import panoptic
from axial_tf.training import checkpoints


def load_inference(
    model_dir: str, checkpoint: Optional[str] = None
) -> panoptic_inference.PanopticInference:
  """Rebuilds the model that `model_dir` was trained with.

  Args:
    model_dir: folder of a training run.
    checkpoint: path of one of its checkpoints; None takes the newest.

  Raises:
    errors.UserError: the folder holds no run or no checkpoint that fits.
  """
  config_file = os.path.join(model_dir, 'config.gin')
  checkpoint = checkpoint or checkpoints.latest(model_dir)
  if not os.path.exists(config_file) or not checkpoint:
    raise errors.UserError(
        f'{model_dir}: expected the folder of a training run (config.gin and '
        f'a checkpoint); give the --model_dir that axial_tf.train wrote')
  spec_file = os.path.join(model_dir, 'dataset_spec.json')
  settings = dataclasses.replace(
      config.parse([config_file]).task, spec=spec_file)
  spec = dataset_spec.DatasetSpec.load(spec_file)
  model = panoptic.build_model(settings, spec)
  checkpoints.restore_model(model, checkpoint)
  return panoptic.build_inference(settings, spec, model)
