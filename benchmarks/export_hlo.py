"""Writes XLA programs, for compilers and machines without TensorFlow.

For each case, folder/CASE.KIND.hlo is a serialized HloModuleProto. Cases are
one layer of each stage of Axial-ResNet-S at 224x224, backbones, and 'whole',
the training step of experiments/coco_axial_deeplab_s.gin with decoders, losses
and optimizer, recompute='axial' and 2 images. For the small case 'check',
check.npz also has all arguments and the expected result.

'ours' is the path used on accelerators, einsums in chunks of 256 MB as on GPUs;
'ours_tpu' has TPUs' chunks of 16 MB; 'published' is equation 3 as published,
with global spans, and keeps all maps.

  python benchmarks/export_hlo.py --output_dir=/tmp/hlo
  python benchmarks/export_hlo.py --output_dir=/tmp/hlo --cases=check
  python benchmarks/export_hlo.py --output_dir=/tmp/hlo --cases=whole \\
    --kinds=ours_tpu_bf16          # minutes
"""

import io
import os
import pathlib
import sys

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, devices, errors
from axial_tf.files import atomic_files
from axial_tf.keras2 import keras
from axial_tf.layers.attention import backends, chunks
from axial_tf.layers.attention import layer as attention_layer
from axial_tf.models import axial_resnet, settings_by_name

# Length of the axis and channels of the layers of a stage.
_LAYERS = {'stage_2': (56, 64), 'stage_3': (28, 128), 'stage_4': (14, 256),
           'stage_5': (7, 512)}
# Variant, height and width, batch, training.
_BACKBONES = {
    'check': ('axial_resnet_s', 65, 2, False),
    'resnet_s_224_infer': ('axial_resnet_s', 224, 64, False),
    'resnet_s_224_train': ('axial_resnet_s', 224, 64, True),
    'deeplab_s_1025_infer': ('axial_deeplab_s', 1025, 1, False),
    'deeplab_s_1025_train': ('axial_deeplab_s', 1025, 1, True),
    'deeplab_l_1025_infer': ('axial_deeplab_l', 1025, 1, False),
}
_WHOLE = 'whole'
_CASES = (*_BACKBONES, *(f'{stage}_{work}' for stage in _LAYERS
                         for work in ('infer', 'train')), _WHOLE)
# Backend, precision, device whose chunks are used.
_KINDS = {
    'ours': ('einsum', 'float32', 'gpu'),
    'published': ('equation', 'float32', 'gpu'),
    'ours_bf16': ('einsum', 'bfloat16', 'gpu'),
    'ours_tpu': ('einsum', 'float32', 'tpu'),
    'ours_tpu_bf16': ('einsum', 'bfloat16', 'tpu'),
}

_OUTPUT_DIR = cli.define_path('output_dir', None, 'folder of the programs.')
_CHOSEN = flags.DEFINE_list('cases', list(_BACKBONES), 'Cases to write.')
_CHOSEN_KINDS = flags.DEFINE_list(
    'kinds', ['ours', 'published', 'ours_bf16'], 'Kinds to write of each.')


def program(case: str, kind: str):
  """Returns the compiled function, its inputs, and the serialized program."""
  backend, precision, device = _KINDS[kind]
  keras.mixed_precision.set_global_policy(
      precision if precision == 'float32' else f'mixed_{precision}')
  if case == _WHOLE:
    model, step, inputs = _whole(precision)
  elif case in _BACKBONES:
    model, step, inputs = _backbone(case, published=kind == 'published')
  else:
    model, step, inputs = _layer(case)
  step = tf.function(step, autograph=False, jit_compile=True)
  with devices.target(device), backends.use(
      model, backend, chunks.CHUNK_BYTES[device]):
    content = step.experimental_get_compiler_ir(inputs)(stage='hlo_serialized')
  return model, step, inputs, content


def _backbone(case, published):
  variant, size, batch, training = _BACKBONES[case]
  overrides = {'span': 0} if published else {}
  model = axial_resnet.AxialResNet(
      settings_by_name.variant_settings(variant, **overrides))
  images = tf.random.stateless_normal([batch, size, size, 3], [1, 2])
  model(images[:1, :65, :65])

  def step(images):
    if not training:
      return model(images)['res5']
    with tf.GradientTape() as tape:
      loss = _loss(model(images, training=True)['res5'])
    return tape.gradient(loss, model.trainable_variables)

  return model, step, images


def _layer(case):
  stage, work = case.rsplit('_', 1)
  length, channels = _LAYERS[stage]
  layer = attention_layer.AxialAttention(channels // 2, channels)
  features = tf.zeros([64, length, length, channels],
                      keras.mixed_precision.global_policy().compute_dtype)
  layer(features[:1])

  def step(features):
    if work == 'infer':
      return layer(features)
    with tf.GradientTape() as tape:
      tape.watch(features)
      loss = _loss(layer(features, training=True))
    return tape.gradient(loss, [features, *layer.trainable_variables])

  return layer, step, features


def _loss(outputs):
  return tf.reduce_sum(tf.square(tf.cast(outputs, tf.float32)))


def _whole(precision):
  # Gin and tensorflow-addons take seconds to load; the others need neither.
  from axial_tf.experiment import config
  from axial_tf.tasks import registry
  size, batch = 1025, 2
  experiment = config.parse(['experiments/coco_axial_deeplab_s.gin'], [
      "RECORDS = '/nowhere'", f'BATCH_SIZE = {batch}',
      "variant_settings.recompute = 'axial'",
      f"RunSettings.mixed_precision = '{precision}'"])
  task = registry.build(experiment.task, experiment.run, experiment.optimizer)
  model = task.build_model()
  optimizer = task.create_optimizer(None)
  pixels = [batch, size, size]
  return model, lambda batch: task.train_step(batch, model, optimizer), {
      'image': tf.zeros([*pixels, 3], tf.uint8),
      'inside': tf.zeros([batch, 4], tf.int32),
      'panoptic': tf.zeros(pixels, tf.int32),
      'instance': tf.zeros(pixels, tf.int32),
      'center_r2': tf.zeros(pixels, tf.int16)}


def _check(model, step, images):
  """Returns an .npz with the arguments and the result of the program."""
  values = {id(v.handle): v for v in model.variables}
  captured = step.get_concrete_function(images).captured_inputs
  arguments = [images.numpy(), *(
      (values[id(x)] if x.dtype == tf.resource else x).numpy()
      for x in captured)]
  content = io.BytesIO()
  np.savez(content, expected=step(images).numpy(), **{
      f'argument{i:05d}': value for i, value in enumerate(arguments)})
  return content.getvalue()


def main():
  if _OUTPUT_DIR.value is None:
    raise errors.UserError('--output_dir: expected a folder, got none')
  cli.require_known('cases', _CHOSEN.value, _CASES)
  cli.require_known('kinds', _CHOSEN_KINDS.value, list(_KINDS))
  for case in _CHOSEN.value:
    for kind in _CHOSEN_KINDS.value:
      model, step, inputs, content = program(case, kind)
      path = os.path.join(_OUTPUT_DIR.value, f'{case}.{kind}.hlo')
      atomic_files.write(path, content)
      print(f'{path}: {len(content)} bytes', flush=True)
      if (case, kind) == ('check', 'ours'):
        atomic_files.write(
            os.path.join(_OUTPUT_DIR.value, 'check.npz'),
            _check(model, step, inputs))


if __name__ == '__main__':
  cli.run(main, __doc__)
