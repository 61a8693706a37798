"""Says what would fit after a training or a validation ran out of memory."""

import dataclasses
import os
from typing import ContextManager, List, Optional

import tensorflow as tf

from axial_tf import errors, memory
from axial_tf.experiment import experiment
from axial_tf.tasks import panoptic, registry
from axial_tf.training import checkpoints

# Share of a device for what a step keeps for its backward pass. The rest is for
# weights, their optimizer, and temporary memory within operations.
_SHARE = 2 / 3
_BATCH = 'RunSettings.global_batch_size (BATCH_SIZE in the gin files)'


def training(settings: experiment.Experiment, model_dir: Optional[str]
             ) -> ContextManager[None]:
  """Turns an error of a training step into a line on what would fit.

  Args:
    settings: settings of the run.
    model_dir: its folder; None for a run without one.

  Raises:
    errors.UserError: a device has no more memory. The figures in it come from
      the graph of a step, whose tracing takes as long as at the first step.
  """
  replicas = tf.distribute.get_strategy().num_replicas_in_sync
  return memory.reported(lambda error: (
      f'{memory.describe(error)}, {_what_fits(error, settings, replicas)}'
      f'{_resumed(model_dir)}'))


def validation(settings: experiment.Experiment, model_dir: str
               ) -> ContextManager[None]:
  """Does the same for a validation.

  Raises:
    errors.UserError: a device has no more memory.
  """
  replicas = tf.distribute.get_strategy().num_replicas_in_sync
  images = settings.run.validation_batch(replicas)
  ways = []
  if images > replicas:
    ways.append(f'RunSettings.validation_batch_size = {replicas}')
  if isinstance(settings.task, panoptic.PanopticTaskSettings):
    ways.append('a lower PanopticDataSettings.max_long_side (now '
                f'{settings.task.data.max_long_side})')
    ways.append('smaller MultiScaleSettings.scales (now '
                f'{settings.task.multi_scale.scales})')
  else:
    ways.append('a smaller ClassificationDataSettings.image_size (now '
                f'{settings.task.data.image_size})')
  return memory.reported(lambda error: (
      f'{memory.describe(error)}, in a validation with {images} images at a '
      f'time; set {", or ".join(ways)}{_resumed(model_dir)}'))


def _what_fits(error, settings, replicas: int) -> str:
  """Compares what a step keeps with the memory of the device."""
  run = settings.run
  share = run.global_batch_size // replicas
  images = share // run.accumulate_steps
  text = f'in a training step with {images} images at a time on each device'
  kept = _kept_per_image(settings.task, settings, images)
  total = memory.capacity(error)
  fitting = images // 2
  if kept is not None:
    text += (f'; it keeps about {memory.amount(kept)} an image for its '
             f'backward pass')
    if total is not None:
      count = int(_SHARE * total / kept)
      if count < images:
        fitting = count
        text += f', so that at most about {count} fit'
      else:
        text += ' (check whether another program uses the device, too)'
  ways = []
  if fitting:
    ways.append(f'{_BATCH} = {fitting * replicas * run.accumulate_steps}')
    ways.append('RunSettings.accumulate_steps = ' + str(next(
        parts for parts in range(1, share + 1)
        if share % parts == 0 and share // parts <= fitting)))
  ways += _recomputing(settings, images)
  if run.mixed_precision == 'float32':
    ways.append("RunSettings.mixed_precision = 'bfloat16'")
  if isinstance(settings.task, panoptic.PanopticTaskSettings):
    ways.append('a smaller AugmentationSettings.crop_size')
  else:
    ways.append('a smaller ClassificationDataSettings.image_size')
  return f'{text}; set {", or ".join(ways)}'


def _recomputing(settings, images: int) -> List[str]:
  """Suggests to recompute, with what a step then keeps."""
  model = settings.task.model
  if getattr(model.backbone, 'recompute', 'none') is not None:
    return []
  for kind in ('axial', 'all'):
    try:
      backbone = dataclasses.replace(model.backbone, recompute=kind)
    except errors.UserError:
      continue  # There are no axial blocks.
    kept = _kept_per_image(dataclasses.replace(
        settings.task, model=dataclasses.replace(model, backbone=backbone)),
        settings, images)
    figure = '' if kept is None else (
        f' (about {memory.amount(kept)} an image)')
    return [f'variant_settings.recompute = {kind!r}{figure}']
  return []


def _kept_per_image(task, settings, images: int) -> Optional[float]:
  try:
    return registry.build(task, settings.run, settings.optimizer).kept_bytes(
        images) / images or None
  except Exception:  # pylint: disable=broad-except
    return None  # Without figures, the rest of the line is still of use.


def _resumed(model_dir: Optional[str]) -> str:
  kept = model_dir and checkpoints.latest(model_dir)
  if kept:
    return (f'; the run then resumes from {os.path.basename(kept)}, which is '
            f'intact')
  return ''
