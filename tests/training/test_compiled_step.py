"""The whole training step is one XLA program, as TPUs require."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.panoptic import training_batch
from axial_tf.experiment import config
from axial_tf.keras2 import keras
from axial_tf.tasks import registry

_SIDE = 33
_TINY = ["RECORDS = '/nowhere'", 'BLOCKS = (1, 1, 1, 1)', 'WIDTH = 0.125',
         'HEADS = 2', 'WARMUP_STEPS = 2', 'BATCH_SIZE = 2',
         f'AugmentationSettings.crop_size = ({_SIDE}, {_SIDE})']


def _batch(task):
  label = np.full([_SIDE, _SIDE], task.spec.stuff_ids[0], np.int32)
  label[4:20, 5:15] = task.spec.thing_ids[0]
  panoptic = label * task.spec.label_divisor + (
      label == task.spec.thing_ids[0])
  example = training_batch.pack(
      tf.constant(np.repeat(60 * (label[..., None] % 4), 3, -1), tf.uint8),
      tf.constant(panoptic), tf.constant([0, 0, _SIDE, _SIDE]), task.spec,
      task.task_config.data.targets)
  return {key: tf.stack([value] * 2) for key, value in example.items()}


@pytest.mark.parametrize('bindings', [
    [],  # RectifiedAdam and Lookahead
    pytest.param(
        ["OptimizerSettings.name = 'sgd'", 'OptimizerSettings.clip_norm = 1.0',
         "variant_settings.recompute = 'axial'", 'SPAN = 5',
         'RunSettings.accumulate_steps = 2'], marks=pytest.mark.slow)])
def test_every_operation_of_a_step_can_be_lowered(bindings):
  """Lowering fails with the names of the operations that XLA lacks."""
  experiment = config.parse(
      ['experiments/demo.gin'], [*_TINY, *bindings])
  task = registry.build(experiment.task, experiment.run, experiment.optimizer)
  model = task.build_model()
  optimizer = task.create_optimizer(None)
  step = tf.function(
      lambda batch: task.train_step(batch, model, optimizer)['loss'],
      jit_compile=True)
  program = step.experimental_get_compiler_ir(_batch(task))(stage='hlo')
  assert program.startswith('HloModule')
  # Shapes that are only known while it runs are written with a bound, "<=".
  assert '<=' not in program


def test_a_step_of_a_classifier_can_be_lowered(project_root):
  records = project_root / 'tests/fixtures/earlier_run/classifier_records'
  experiment = config.parse(
      ['experiments/cifar10_axial_resnet.gin'], [
          f"RECORDS = '{records}'",
          'BLOCKS = (1, 1, 1, 1)',
          'WIDTH = 0.125', 'HEADS = 2', 'WARMUP_STEPS = 2'])
  task = registry.build(experiment.task, experiment.run, experiment.optimizer)
  model = task.build_model()
  optimizer = task.create_optimizer(None)
  step = tf.function(
      lambda batch: task.train_step(batch, model, optimizer)['loss'],
      jit_compile=True)
  batch = {'image': tf.zeros([2, 33, 33, 3]),
           'target': tf.one_hot([0, 1], task.spec.num_classes),
           'label': tf.zeros([2], tf.int32)}
  program = step.experimental_get_compiler_ir(batch)(stage='hlo')
  assert program.startswith('HloModule')
  assert '<=' not in program


def _one_step(compile_mode):
  experiment = config.parse(['experiments/demo.gin'], [
      *_TINY, 'RunSettings.seed = 1',
      f"RunSettings.compile = '{compile_mode}'"])
  keras.utils.set_random_seed(1)
  task = registry.build(experiment.task, experiment.run, experiment.optimizer)
  model = task.build_model()
  optimizer = task.create_optimizer(None)
  losses = []
  step = tf.function(lambda batch: task.train_step(batch, model, optimizer))
  for _ in range(2):
    losses.append(float(step(_batch(task))['loss']))
  return losses


def test_compiled_attention_trains_like_any_other():
  np.testing.assert_allclose(
      _one_step('always'), _one_step('never'), rtol=1e-4)


def test_replicas_that_share_statistics_are_not_compiled(two_replicas):
  experiment = config.parse(['experiments/demo.gin'], [
      *_TINY, "RunSettings.compile = 'always'"])
  task = registry.build(experiment.task, experiment.run, experiment.optimizer)
  with two_replicas.scope():
    with pytest.raises(errors.UserError, match="compile.*'auto' or 'never'"):
      task.build_model()
