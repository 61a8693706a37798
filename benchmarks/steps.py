"""Builds what benchmarks run: a backbone's pass, an experiment's step."""

from typing import Any, Callable, Dict, Optional, Sequence

import numpy as np
import tensorflow as tf

from axial_tf.data.panoptic import training_batch
from axial_tf.experiment import config
from axial_tf.keras2 import keras
from axial_tf.layers.attention import backends
from axial_tf.models import axial_resnet, settings_by_name
from axial_tf.tasks import registry


def backbone(variant: str, overrides: Dict[str, Any], size: int, batch: int,
             training: bool, backend: str = 'auto', precision: str = 'float32',
             jit_compile: Optional[bool] = None) -> Callable[[], Any]:
  """Returns a graph function that runs a backbone on images of noise.

  Args:
    variant: row of VARIANTS.
    overrides: settings that differ from it.
    size: height and width of the images.
    batch: number of images.
    training: whether to return the gradients of all weights, not the outputs.
    backend: as in AttentionSettings.
    precision: as RunSettings.mixed_precision.
    jit_compile: whether XLA compiles the whole function.
  """
  _set_precision(precision)
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

  @tf.function(jit_compile=jit_compile)
  def step():
    if not training:
      return model(images)['res5']
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(tf.square(tf.cast(
          model(images, training=True)['res5'], tf.float32)))
    return tape.gradient(loss, model.trainable_variables)

  return step


def experiment(gin_file: str, bindings: Sequence[str], backend: str = 'auto',
               jit_compile: Optional[bool] = None) -> Callable[[], tf.Tensor]:
  """Returns a graph function that trains an experiment on images of noise.

  It is one step of network, losses and optimizer, and returns the loss.

  Args:
    gin_file: experiment in panoptic segmentation, of square crops.
    bindings: bindings that change it.
    backend: as in AttentionSettings.
    jit_compile: whether XLA compiles the whole function.
  """
  settings = config.parse([gin_file], ["RECORDS = '/none'", *bindings])
  _set_precision(settings.run.mixed_precision)
  task = registry.build(settings.task, settings.run, settings.optimizer)
  model = task.build_model()
  backends.assign(model, backend)
  optimizer = task.create_optimizer(None)
  batch = _batch(task, settings.task.data.augmentation.crop_size[0],
                 settings.run.global_batch_size)
  return tf.function(
      lambda: task.train_step(batch, model, optimizer)['loss'],
      jit_compile=jit_compile)


def _set_precision(name):
  keras.mixed_precision.set_global_policy(
      name if name == 'float32' else f'mixed_{name}')


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
