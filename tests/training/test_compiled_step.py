"""The whole training step is one XLA program, as TPUs require."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.panoptic import training_batch
from axial_tf.experiment import config
from axial_tf.keras2 import keras
from axial_tf.layers.attention import base
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


def _task(file, bindings):
  experiment = config.parse([file], bindings)
  return registry.build(
      experiment.task, experiment.run, experiment.optimizer)


def _step(task):
  """Returns the model, and a function of a batch that trains it."""
  model = task.build_model()
  optimizer = task.create_optimizer(None)
  return model, lambda batch: task.train_step(batch, model, optimizer)['loss']


def _require_lowered(task, batch):
  """Lowering fails with the names of the operations that XLA lacks."""
  step = tf.function(_step(task)[1], jit_compile=True)
  program = step.experimental_get_compiler_ir(batch)(stage='hlo')
  assert program.startswith('HloModule')
  # Shapes that are only known while it runs are written with a bound, "<=".
  assert '<=' not in program


@pytest.mark.slow
@pytest.mark.parametrize('bindings', [
    ["OptimizerSettings.name = 'radam_lookahead'"],
    ["OptimizerSettings.name = 'sgd'", 'OptimizerSettings.clip_norm = 1.0',
     "variant_settings.recompute = 'axial'", 'SPAN = 5',
     'RunSettings.accumulate_steps = 2']])
def test_every_operation_of_a_step_can_be_lowered(bindings):
  task = _task('experiments/demo.gin', [*_TINY, *bindings])
  _require_lowered(task, _batch(task))


def _classifier(project_root, *bindings):
  records = project_root / 'tests/fixtures/earlier_run/classifier_records'
  return _task('experiments/cifar10_axial_resnet.gin', [
      f"RECORDS = '{records}'", 'BLOCKS = (1, 1, 1, 1)', 'WIDTH = 0.125',
      'HEADS = 2', 'WARMUP_STEPS = 0', *bindings])


def _classifier_batch(task):
  label = tf.constant([0, 1])
  return {'image': tf.random.stateless_normal([2, _SIDE, _SIDE, 3], [1, 2]),
          'target': tf.one_hot(label, task.spec.num_classes), 'label': label}


def test_every_operation_of_a_step_of_a_classifier_can_be_lowered(
    project_root):
  """Attention has a test above."""
  task = _classifier(project_root, "SPATIAL = 'convolution'")
  _require_lowered(task, _classifier_batch(task))


def _losses(project_root, compile_mode, backend, wrap):
  """Three losses, after a check that the layers have the backend."""
  keras.utils.set_random_seed(1)
  task = _classifier(
      project_root, f"RunSettings.compile = '{compile_mode}'")
  model, step = _step(task)
  assert {layer.settings.backend for layer in model.submodules
          if isinstance(layer, base.AttentionLayer)} == {backend}
  step, batch = wrap(step), _classifier_batch(task)
  return [float(step(batch)) for _ in range(3)]


@pytest.mark.slow
def test_compiled_attention_trains_like_any_other(project_root):
  compiled = _losses(project_root, 'always', 'compiled', tf.function(
      autograph=False))
  others = _losses(project_root, 'never', 'matmul', lambda step: step)
  assert np.ptp(others) > 0.01
  np.testing.assert_allclose(compiled, others, rtol=1e-4)


def test_replicas_that_share_statistics_are_not_compiled(two_replicas):
  task = _task('experiments/demo.gin', [
      *_TINY, "RunSettings.compile = 'always'"])
  with two_replicas.scope():
    with pytest.raises(errors.UserError, match="compile.*'auto' or 'never'"):
      task.build_model()
  with pytest.raises(errors.UserError, match='synchronized = False to compile'):
    _task('experiments/demo.gin', [
        *_TINY, "RunSettings.compile = 'always'",
        'variant_settings.norm = @BatchNormSettings()',
        'BatchNormSettings.synchronized = True']).build_model()
