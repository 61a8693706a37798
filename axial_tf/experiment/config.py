"""Parses gin files into experiments, with readable errors.

The only module that imports gin. Settings stay plain dataclasses; here they
become configurables, and gin's exceptions become one-line errors.
"""

import contextlib
import dataclasses
import re
from typing import Sequence

import gin

from axial_tf import errors
from axial_tf.data.classification import (
  augmentation as classification_augmentation,
)
from axial_tf.data.classification import pipeline as classification_pipeline
from axial_tf.data.common import record_files
from axial_tf.data.panoptic import augmentation
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.experiment import experiment, gin_files
from axial_tf.inference import multi_scale
from axial_tf.layers import normalization
from axial_tf.layers.attention import settings as attention_settings
from axial_tf.models import (
  classifier,
  deeperlab,
  panoptic_decoder,
  panoptic_deeplab,
  settings_by_name,
  ssap,
)
from axial_tf.panoptic import losses, merging, targets
from axial_tf.panoptic.deeperlab import decoding_settings
from axial_tf.panoptic.deeperlab import losses as deeperlab_losses
from axial_tf.panoptic.deeperlab import targets as keypoint_targets
from axial_tf.panoptic.ssap import affinity_settings, cascade_settings
from axial_tf.panoptic.ssap import targets as affinity_targets
from axial_tf.tasks import classification, panoptic
from axial_tf.training import optimizers, run_settings

CONFIGURABLES = (
    experiment.Experiment,
    run_settings.RunSettings,
    optimizers.OptimizerSettings,
    panoptic.PanopticTaskSettings,
    classification.ClassificationTaskSettings,
    panoptic_pipeline.PanopticDataSettings,
    augmentation.AugmentationSettings,
    classification_pipeline.ClassificationDataSettings,
    classification_augmentation.ClassificationAugmentationSettings,
    targets.TargetSettings,
    losses.LossSettings,
    merging.MergingSettings,
    keypoint_targets.KeypointTargetSettings,
    deeperlab_losses.DeeperLabLossSettings,
    decoding_settings.DeeperLabDecodingSettings,
    affinity_targets.AffinityTargetSettings,
    affinity_settings.AffinityLossSettings,
    cascade_settings.CascadeSettings,
    multi_scale.MultiScaleSettings,
    panoptic_deeplab.PanopticDeepLabSettings,
    deeperlab.DeeperLabSettings,
    ssap.SSAPSettings,
    classifier.ClassifierSettings,
    panoptic_decoder.BranchSettings,
    panoptic_decoder.DecoderSettings,
    settings_by_name.variant_settings,
    settings_by_name.panoptic_settings,
    attention_settings.AttentionTerms,
    normalization.BatchNormSettings,
    record_files.shard_pattern,
)

# Fields that parsing adds to an experiment, so that gin is not needed later.
_TEXTS = ('gin_text', 'operative_text')
# Marks, in gin, a macro that a user must give; its value while it is missing.
_REQUIRED = '%gin.REQUIRED'
_MISSING = '<required>'
_REGISTERED = {
    c.__name__: gin.external_configurable(
        c, denylist=_TEXTS if c is experiment.Experiment else None)
    for c in CONFIGURABLES}


def parse(
    files: Sequence[str], bindings: Sequence[str] = (),
    assumed: Sequence[str] = (), fill_required: bool = False
) -> experiment.Experiment:
  """Reads gin files and `NAME = value` bindings into an experiment.

  Args:
    files: gin files; a later one overrides an earlier one.
    bindings: single bindings, which override the files.
    assumed: bindings that override files but not `bindings`; may be unused.
    fill_required: whether to accept that a user has not given a macro that the
      files require; it gets a text as its value, and stays required in the gin
      texts.

  Returns:
    The experiment with its gin texts.

  Raises:
    errors.UserError: a file is missing, or names or types in it are wrong.
  """
  gin.clear_config()
  for file in files:
    parse_file(file)
  for binding in (*assumed, *bindings):
    if gin_files.is_include(binding):
      raise errors.UserError(
          f'{binding}: expected NAME = value; give the file as --gin_file')
    with _clear_errors(binding):
      gin.parse_config(binding)
  missing = _missing_macros() if fill_required else ()
  with _clear_errors('configuration'):
    for name in missing:
      gin.parse_config(f'{name} = {_MISSING!r}')
    gin.finalize()
    _require_task(files)
    parsed = _REGISTERED['Experiment']()
  parsed = dataclasses.replace(
      parsed,
      gin_text=_require_again(gin.config_str(max_line_length=100)),
      operative_text=_require_again(
          gin.operative_config_str(max_line_length=100)))
  _require_use(bindings, parsed.operative_text)
  return parsed


def parse_file(file: str) -> None:
  """Adds a gin file, and what it includes, to gin's configuration.

  Raises:
    errors.UserError: see `parse`.
  """
  for chunk in gin_files.chunks(file):
    with _clear_errors(chunk.name):
      gin.parse_config(chunk)


def _missing_macros() -> Sequence[str]:
  """Returns the names of macros that a user has to give and has not."""
  return re.findall(
      rf'^(\w+) = {re.escape(_REQUIRED)}$', gin.config_str(), re.MULTILINE)


def _require_again(text: str) -> str:
  """Returns gin text in which macros without a value are required."""
  return text.replace(f' = {_MISSING!r}', f' = {_REQUIRED}')


def _require_use(bindings: Sequence[str], used: str) -> None:
  """Raises a UserError for a binding that changes nothing.

  Gin accepts parameters of objects that the experiment never creates.
  """
  for binding in bindings:
    name = binding.partition('=')[0].strip()
    if re.search(rf'^{re.escape(name)} =', used, re.MULTILINE):
      continue
    made = name.rpartition('.')[0].rpartition('/')[2]
    reason = (f'nothing in this experiment refers to @{made}()'
              if made and f'{made}.' not in used else
              'its gin files, and the operative_config.gin of a run, list the '
              'names in use')
    raise errors.UserError(f'{binding}: {name} is not used; {reason}')


def markdown(text: str) -> str:
  """Returns gin text as Markdown, for TensorBoard."""
  return gin.markdown(text)


@contextlib.contextmanager
def plain_user_errors():
  """Removes gin's additions to a UserError that passes a configurable.

  The Model Garden makes some of its functions configurables.
  """
  try:
    yield
  except errors.UserError as error:
    raise errors.UserError(errors.first_line(error)) from error


def _require_task(files: Sequence[str]) -> None:
  try:
    gin.query_parameter('Experiment.task')
  except ValueError as error:
    raise errors.UserError(
        f'{", ".join(files)}: expected an experiment, which sets '
        f'Experiment.task, got none; start from a copy of one in '
        f'gin_configs/experiments/') from error


@contextlib.contextmanager
def _clear_errors(source: str):
  """Turns gin's exceptions for a user's mistake into a UserError."""
  try:
    with plain_user_errors():
      yield
  except errors.UserError:
    raise
  except SyntaxError as error:
    raise errors.UserError(
        f'{source}: {errors.first_line(error)}; expected NAME = value, with '
        f'strings in quotes') from error
  except (AttributeError, LookupError, RuntimeError, TypeError, ValueError
          ) as error:
    raise errors.UserError(
        f'{source}: {errors.first_line(error)}; compare the names with those '
        f'in gin_configs/') from error
