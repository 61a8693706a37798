"""Builds what benchmarks run: a backbone's pass, an experiment's step."""

from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

import numpy as np
import tensorflow as tf

from axial_tf.data.panoptic import training_batch
from axial_tf.experiment import config
from axial_tf.keras2 import keras
from axial_tf.layers.attention import backends
from axial_tf.models import axial_resnet, settings_by_name
from axial_tf.tasks import registry


class Step(NamedTuple):
  """Work to measure.

  Attributes:
    model: model or layer that is run.
    function: function of the inputs that runs it.
    inputs: tensors that it is run on.
  """
  model: tf.Module
  function: Callable[[Any], Any]
  inputs: Any

  def graph(self, jit_compile: Optional[bool] = None) -> Callable[[], Any]:
    """Returns the step on its inputs as a graph function.

    Args:
      jit_compile: whether XLA compiles it as a whole.
    """
    return tf.function(lambda: self.function(self.inputs), autograph=False,
                       jit_compile=jit_compile)


def set_precision(name: str) -> None:
  """Sets the policy of new layers, by the name in RunSettings."""
  keras.mixed_precision.set_global_policy(
      name if name == 'float32' else f'mixed_{name}')


def squares(outputs: tf.Tensor) -> tf.Tensor:
  """Returns a loss that depends on all outputs, in float32."""
  return tf.reduce_sum(tf.square(tf.cast(outputs, tf.float32)))


def backbone(variant: str, overrides: Dict[str, Any], size: int, batch: int,
             training: bool, backend: str = 'auto', precision: str = 'float32'
             ) -> Step:
  """Returns the pass of a backbone over images of noise.

  Args:
    variant: row of VARIANTS.
    overrides: settings that differ from it.
    size: height and width of the images.
    batch: number of images.
    training: whether to return the gradients of all weights, not the outputs.
    backend: as in AttentionSettings.
    precision: as RunSettings.mixed_precision.
  """
  set_precision(precision)
  keras.utils.set_random_seed(0)
  model = axial_resnet.AxialResNet(
      settings_by_name.variant_settings(variant, **overrides))
  model(tf.zeros([1, 65, 65, 3]))
  backends.assign(model, backend)
  random = np.random.default_rng(0)
  for variable in model.trainable_variables:
    if 'gamma' in variable.name:  # The last ones of blocks start at 0.
      variable.assign(random.uniform(0.5, 1.0, variable.shape))
  images = tf.random.stateless_normal([batch, size, size, 3], [1, 2])

  def step(images):
    if not training:
      return model(images)['res5']
    with tf.GradientTape() as tape:
      loss = squares(model(images, training=True)['res5'])
    return tape.gradient(loss, model.trainable_variables)

  return Step(model, step, images)


def experiment(gin_file: str, bindings: Sequence[str], backend: str = 'auto'
               ) -> Step:
  """Returns the training step of an experiment on images of noise.

  It has network, losses and optimizer, and returns the loss.

  Args:
    gin_file: experiment in panoptic segmentation, of square crops.
    bindings: bindings that change it.
    backend: as in AttentionSettings.
  """
  settings = config.parse([gin_file], ["RECORDS = '/none'", *bindings])
  set_precision(settings.run.mixed_precision)
  task = registry.build(settings.task, settings.run, settings.optimizer)
  model = task.build_model()
  backends.assign(model, backend)
  optimizer = task.create_optimizer(None)
  batch = _batch(task, settings.task.data.augmentation.crop_size[0],
                 settings.run.global_batch_size)
  return Step(model, lambda batch: task.train_step(
      batch, model, optimizer)['loss'], batch)


def _batch(task, size, count):
  """Returns noise images with two segments: a stuff class and a thing."""
  spec = task.spec
  label = np.full(
      [size, size], spec.stuff_ids[0] * spec.label_divisor, np.int32)
  label[:size // 2, :size // 2] = spec.thing_ids[0] * spec.label_divisor + 1
  noise = np.random.default_rng(0).integers(0, 255, [size, size, 3], np.uint8)
  example = training_batch.pack(
      tf.constant(noise), tf.constant(label), tf.constant([0, 0, size, size]),
      spec, task.task_config.data.targets)
  return {key: tf.stack([value] * count) for key, value in example.items()}
