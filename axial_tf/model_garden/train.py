"""Trains and validates a model of the TensorFlow Model Garden.

Takes the Model Garden's own flags and YAML, and also knows the experiments on
an Axial-ResNet: axial_resnet_imagenet, retinanet_axialresnetfpn_coco,
maskrcnn_axialresnetfpn_coco, seg_deeplabv3plus_axialresnet_pascal.

Example:
  python -m axial_tf.model_garden.train --experiment=axial_resnet_imagenet \\
    --params_override='task.train_data.input_path=records/train*' \\
    --config_file=my.yaml --mode=train --model_dir=runs/garden

Rerun the same command to resume a stopped run.
"""

from typing import Iterator, Tuple

from absl import flags

from axial_tf import cli, errors
from axial_tf.files import paths

FLAGS = flags.FLAGS


def _define_flags() -> None:
  from official.common import flags as garden_flags

  cli.define_by(garden_flags.define_flags)
  flags.DEFINE_bool(
      'enable_async_checkpointing', True,
      'whether checkpoints are written while training continues.')


def main() -> None:
  from official.common import distribute_utils
  from official.core import task_factory, train_lib, train_utils
  from official.modeling import performance
  from official.vision.utils import summary_manager

  cli.require(experiment='the name of an experiment', mode='such as train',
              model_dir='a folder for this run')
  cli.refuse(['gin_file', 'gin_params'],
             ': not used here; give parameters by --params_override')
  FLAGS.model_dir = paths.expand(FLAGS.model_dir)
  paths.require_reachable(FLAGS.model_dir)
  params = _parse()
  _require_data(params.task)
  if 'train' in FLAGS.mode:
    train_utils.serialize_config(params, FLAGS.model_dir)
  runtime = params.runtime
  if runtime.mixed_precision_dtype:
    performance.set_mixed_precision_policy(runtime.mixed_precision_dtype)
  strategy = distribute_utils.get_distribution_strategy(
      distribution_strategy=runtime.distribution_strategy,
      all_reduce_alg=runtime.all_reduce_alg, num_gpus=runtime.num_gpus,
      tpu_address=runtime.tpu)
  with strategy.scope():
    task = task_factory.get_task(params.task, logging_dir=FLAGS.model_dir)
  train_lib.run_experiment(
      distribution_strategy=strategy, task=task, mode=FLAGS.mode,
      params=params, model_dir=FLAGS.model_dir,
      eval_summary_manager=summary_manager.maybe_build_eval_summary_manager(
          params=params, model_dir=FLAGS.model_dir),
      enable_async_checkpointing=FLAGS.enable_async_checkpointing)


def _parse():
  """Returns the experiment that the flags describe.

  Raises:
    errors.UserError: an unknown experiment or parameter, a file that cannot be
      read, or a text that is not YAML.
  """
  from official.core import exp_factory, train_utils
  import tensorflow as tf
  import yaml

  from axial_tf import model_garden  # noqa: F401 (registers)

  try:
    exp_factory.get_exp_config(FLAGS.experiment)
  except LookupError as error:
    raise errors.UserError(
        f'--experiment: expected one that the Model Garden or axial_tf '
        f'registers, such as axial_resnet_imagenet, got '
        f'{FLAGS.experiment!r}') from error
  try:
    return train_utils.parse_configuration(FLAGS)
  except AttributeError as error:  # A text or nothing in place of names.
    raise errors.UserError(
        f'--config_file or --params_override: expected names with values in '
        f'YAML, parameters of {FLAGS.experiment}, got something else'
    ) from error
  except (KeyError, TypeError, ValueError, yaml.YAMLError,
          tf.errors.OpError) as error:
    raise errors.UserError(
        f'--config_file or --params_override: cannot be used '
        f'({errors.first_line(error)}); expected parameters of '
        f'{FLAGS.experiment} in YAML') from error


def _require_data(task) -> None:
  """Raises a UserError if records that this mode reads do not exist."""
  for name, pattern in _patterns(task):
    if not paths.matching(pattern):
      raise errors.UserError(
          f'task.{name}.input_path: expected TFRecord files, found none that '
          f'match {pattern!r}; set it by --params_override')


def _patterns(task) -> Iterator[Tuple[str, str]]:
  """Yields field and pattern of each input that is a path."""
  wanted = [('train_data', 'train'), ('validation_data', 'eval')]
  for name, mode in wanted:
    data = getattr(task, name)
    given = data.input_path
    if mode not in FLAGS.mode or data.tfds_name:
      continue
    for text in [given] if isinstance(given, str) else given or ():
      yield from ((name, pattern.strip()) for pattern in text.split(',')
                  if pattern.strip())


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__)
