"""Writes XLA programs, for compilers and machines without TensorFlow.

For each case, folder/CASE.KIND.hlo is a serialized HloModuleProto. Cases are
one layer of each stage of Axial-ResNet-S at 224x224, backbones, 'whole', the
training step of experiments/coco_axial_deeplab_s.gin with decoders, losses and
optimizer, recompute='axial' and 2 images, 'whole_kept', the same without
recompute, and 'enlarge', its heatmap of centers from stride 4 to all pixels,
with the gradient. For the small case 'check', check.npz also has all arguments
and the expected result.

'ours' is the path used on GPUs, programs of axes in chunks of 256 MB;
'ours_tpu' is that of TPUs, in chunks of 16 MB, short axes along the lanes,
resizes by products; 'published' is equation 3 as published, with global spans,
and keeps all maps.

  python benchmarks/export_hlo.py --output_dir=/tmp/hlo
  python benchmarks/export_hlo.py --output_dir=/tmp/hlo --cases=check
  python benchmarks/export_hlo.py --output_dir=/tmp/hlo --cases=whole \\
    --kinds=ours_tpu_bf16          # minutes
"""

import io
import os
import pathlib
import sys
from typing import Tuple

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, devices, errors
from axial_tf.files import atomic_files
from axial_tf.keras2 import keras
from axial_tf.layers import resize
from axial_tf.layers.attention import backends
from axial_tf.layers.attention import layer as attention_layer
from benchmarks import steps

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
# Bindings of the whole experiment.
_WHOLE = {
    'whole': ["variant_settings.recompute = 'axial'"],
    'whole_kept': [],
}
_ENLARGE = 'enlarge'
_CASES = (*_BACKBONES, *(f'{stage}_{work}' for stage in _LAYERS
                         for work in ('infer', 'train')), *_WHOLE, _ENLARGE)
# Backend, precision, device that the program is traced for.
_KINDS = {
    'ours': ('compiled', 'float32', 'gpu'),
    'published': ('equation', 'float32', 'gpu'),
    'ours_bf16': ('compiled', 'bfloat16', 'gpu'),
    'ours_tpu': ('auto', 'float32', 'tpu'),
    'ours_tpu_bf16': ('auto', 'bfloat16', 'tpu'),
}

_OUTPUT_DIR = cli.define_path('output_dir', None, 'folder of the programs.')
_CHOSEN = flags.DEFINE_list('cases', list(_BACKBONES), 'Cases to write.')
_CHOSEN_KINDS = flags.DEFINE_list(
    'kinds', ['ours', 'published', 'ours_bf16'], 'Kinds to write of each.')


def program(case: str, kind: str) -> Tuple[steps.Step, bytes]:
  """Returns a step, and the serialized program of its function."""
  backend, precision, device = _KINDS[kind]
  steps.set_precision(precision)
  if case in _WHOLE:
    step = steps.experiment('experiments/coco_axial_deeplab_s.gin', [
        'BATCH_SIZE = 2', f"RunSettings.mixed_precision = '{precision}'",
        *_WHOLE[case]])
  elif case == _ENLARGE:
    step = _enlarge()
  elif case in _BACKBONES:
    variant, size, batch, training = _BACKBONES[case]
    overrides = {'span': 0} if kind == 'published' else {}
    step = steps.backbone(
        variant, overrides, size, batch, training, precision=precision)
  else:
    step = _layer(case)
  function = tf.function(step.function, autograph=False, jit_compile=True)
  with devices.target(device), backends.use(step.model, backend):
    return step, function.experimental_get_compiler_ir(
        step.inputs)(stage='hlo_serialized')


def _layer(case):
  stage, work = case.rsplit('_', 1)
  length, channels = _LAYERS[stage]
  layer = attention_layer.AxialAttention(channels // 2, channels)
  features = tf.zeros([64, length, length, channels], _compute_dtype())
  layer(features[:1])

  def step(features):
    if work == 'infer':
      return layer(features)
    with tf.GradientTape() as tape:
      tape.watch(features)
      loss = steps.squares(layer(features, training=True))
    return tape.gradient(loss, [features, *layer.trainable_variables])

  return steps.Step(layer, step, features)


def _enlarge():
  def step(heatmaps):
    with tf.GradientTape() as tape:
      tape.watch(heatmaps)
      loss = steps.squares(resize.resize(heatmaps, (1025, 1025)))
    return tape.gradient(loss, heatmaps)

  return steps.Step(
      tf.Module(), step, tf.zeros([2, 257, 257, 1], _compute_dtype()))


def _compute_dtype():
  return keras.mixed_precision.global_policy().compute_dtype


def _check(step):
  """Returns an .npz with the arguments and the result of the program."""
  values = {id(v.handle): v for v in step.model.variables}
  function = tf.function(step.function, autograph=False)
  with backends.use(step.model, 'einsum'):
    captured = function.get_concrete_function(step.inputs).captured_inputs
    expected = function(step.inputs).numpy()
  arguments = [step.inputs.numpy(), *(
      (values[id(x)] if x.dtype == tf.resource else x).numpy()
      for x in captured)]
  content = io.BytesIO()
  np.savez(content, expected=expected, **{
      f'argument{i:05d}': value for i, value in enumerate(arguments)})
  return content.getvalue()


def main():
  if _OUTPUT_DIR.value is None:
    raise errors.UserError('--output_dir: expected a folder, got none')
  cli.require_known('cases', _CHOSEN.value, _CASES)
  cli.require_known('kinds', _CHOSEN_KINDS.value, list(_KINDS))
  for case in _CHOSEN.value:
    for kind in _CHOSEN_KINDS.value:
      step, content = program(case, kind)
      path = os.path.join(_OUTPUT_DIR.value, f'{case}.{kind}.hlo')
      atomic_files.write(path, content)
      print(f'{path}: {len(content)} bytes', flush=True)
      if (case, kind) == ('check', 'ours'):
        atomic_files.write(
            os.path.join(_OUTPUT_DIR.value, 'check.npz'),
            _check(step))


if __name__ == '__main__':
  cli.run(main, __doc__)
