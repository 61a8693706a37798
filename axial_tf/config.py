"""Gin at the edge: what users may configure, and the errors of their files.

The only module that imports gin. Settings stay plain dataclasses; here they
become configurables, files are found in a source tree, in an installed wheel
or on gs://, and gin's exceptions become one clear line.
"""

import contextlib
import logging
import os
import re
from typing import Sequence

import gin
import tensorflow as tf

from axial_tf import errors
from axial_tf.data import (
    augmentation,
    classification_augmentation,
    classification_pipeline,
    panoptic_pipeline,
    record_files,
)
from axial_tf.layers import axial_attention, normalization
from axial_tf.models import (
    classifier,
    multi_scale,
    panoptic_decoder,
    panoptic_deeplab,
    settings_by_name,
)
from axial_tf.panoptic import losses, merging, targets
from axial_tf.tasks import classification, panoptic
from axial_tf.training import experiment, optimizers, run_settings

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
    multi_scale.MultiScaleSettings,
    panoptic_deeplab.PanopticDeepLabSettings,
    classifier.ClassifierSettings,
    panoptic_decoder.BranchSettings,
    panoptic_decoder.DecoderSettings,
    settings_by_name.variant_settings,
    settings_by_name.panoptic_settings,
    axial_attention.AttentionTerms,
    normalization.BatchNormSettings,
    record_files.shard_pattern,
)

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
# A wheel carries gin_configs inside the package, a source tree beside it; the
# parents let `gin_configs/experiments/x.gin` be found as well.
SEARCH_PATHS = tuple(
    os.path.join(root, folder)
    for root in (os.path.dirname(_PACKAGE), _PACKAGE)
    for folder in ('', 'gin_configs'))


def _register() -> dict:
  for path in SEARCH_PATHS:
    gin.add_config_file_search_path(path)
  gin.config.register_file_reader(tf.io.gfile.GFile, tf.io.gfile.exists)
  return {c.__name__: gin.external_configurable(c) for c in CONFIGURABLES}


_REGISTERED = _register()


def parse(
    files: Sequence[str], bindings: Sequence[str] = ()
) -> experiment.Experiment:
  """Reads gin files and `NAME = value` bindings into an experiment.

  Args:
    files: gin files; a later one overrides an earlier one.
    bindings: single bindings, which override the files.

  Raises:
    errors.UserError: a file is missing, or names or types in it are wrong.
  """
  gin.clear_config()
  with _quiet_search():
    for file in files:
      if tf.io.gfile.isdir(file):
        raise errors.UserError(f'{file}: expected a gin file, got a folder')
      with _clear_errors(file):
        gin.parse_config_file(file)
    for binding in bindings:
      with _clear_errors(binding):
        gin.parse_config(binding)
  with _clear_errors('configuration'):
    gin.finalize()
    _require_task(files)
    parsed = _REGISTERED['Experiment']()
    _require_use(bindings)
    return parsed


def _require_use(bindings: Sequence[str]) -> None:
  """Raises a UserError for a binding that changes nothing.

  Gin accepts parameters of what the experiment never makes.
  """
  used = operative_text()
  for binding in bindings:
    name = binding.partition('=')[0].strip()
    if re.search(rf'^{re.escape(name)} =', used, re.MULTILINE):
      continue
    made = name.rpartition('.')[0].rpartition('/')[2]
    reason = (f'nothing in this experiment refers to @{made}()'
              if made and f'{made}.' not in used else
              'its gin files, and the operative_config.gin of a run, list the '
              'names in use')
    raise errors.UserError(f'{binding}: {name} is used nowhere; {reason}')


def raw_text() -> str:
  """The whole parsed configuration, includes resolved."""
  return gin.config_str(max_line_length=100)


def operative_text() -> str:
  """The values in use, defaults included, of all that was configured."""
  return gin.operative_config_str(max_line_length=100)


def operative_markdown() -> str:
  """`operative_text` for TensorBoard."""
  return gin.markdown(operative_text())


@contextlib.contextmanager
def plain_user_errors():
  """Takes off what gin adds to a UserError that passes through a configurable.

  The Model Garden makes configurables of some of its functions.
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
        f'Experiment.task, got none; begin with a copy of one of those in '
        f'gin_configs/experiments/') from error


def _missing_file(error: OSError) -> str:
  """Says which file gin has not found, without the list of its own paths."""
  return errors.first_line(error).split('. Searched config paths')[0]


@contextlib.contextmanager
def _clear_errors(source: str):
  """Turns what gin raises for a user's mistake into a UserError."""
  try:
    with plain_user_errors():
      yield
  except errors.UserError:
    raise
  except SyntaxError as error:
    raise errors.UserError(
        f'{source}: {errors.first_line(error)}; expected NAME = value, with '
        f'strings in quotes') from error
  except OSError as error:
    raise errors.UserError(
        f'{source}: {_missing_file(error)}; looked in the current folder and '
        f'in gin_configs/') from error
  except (AttributeError, LookupError, RuntimeError, TypeError, ValueError
          ) as error:
    raise errors.UserError(
        f'{source}: {errors.first_line(error)}; compare the names with those '
        f'in gin_configs/') from error


@contextlib.contextmanager
def _quiet_search():
  """Gin logs an error for each search path that does not have a file."""
  previous = logging.root.manager.disable
  logging.disable(logging.ERROR)
  try:
    yield
  finally:
    logging.disable(previous)
