"""Gin at the edge: what users may configure, and the errors of their files.

The only module that imports gin. Settings stay plain dataclasses; here they
become configurables, files are found in a source tree, in an installed wheel
or on gs://, and gin's exceptions become one clear line.
"""

import contextlib
import os
from typing import Sequence

import gin
import tensorflow as tf

from axial_tf import errors
from axial_tf.data import augmentation, panoptic_pipeline, record_files
from axial_tf.models import axial_resnet, panoptic_deeplab
from axial_tf.panoptic import losses, merging, targets
from axial_tf.tasks import panoptic
from axial_tf.training import experiment, optimizers, run_settings

CONFIGURABLES = (
    experiment.Experiment,
    run_settings.RunSettings,
    optimizers.OptimizerSettings,
    panoptic.PanopticTaskSettings,
    panoptic_pipeline.PanopticDataSettings,
    augmentation.AugmentationSettings,
    targets.TargetSettings,
    losses.LossSettings,
    merging.MergingSettings,
    panoptic_deeplab.PanopticDeepLabSettings,
    panoptic_deeplab.BranchSettings,
    axial_resnet.variant_settings,
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
  with _clear_errors():
    gin.clear_config()
    gin.parse_config_files_and_bindings(list(files), list(bindings))
    return _REGISTERED['Experiment']()


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
def _clear_errors():
  """Turns what gin raises for a user's mistake into a UserError."""
  try:
    yield
  except errors.UserError as error:
    raise errors.UserError(_first_line(error)) from error
  except (OSError, SyntaxError) as error:
    raise errors.UserError(
        f'gin config: {_first_line(error)}; looked in the current folder and '
        f'in gin_configs/') from error
  except (AttributeError, LookupError, RuntimeError, TypeError, ValueError
          ) as error:
    raise errors.UserError(
        f'gin config: {_first_line(error)}; see the file\'s CAPITAL macros '
        f'and docs for the names that exist') from error


def _first_line(error) -> str:
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  return lines[0] if lines else type(error).__name__
