"""Writes the XLA programs of backbones, for a machine without TensorFlow.

For each case, folder/CASE.KIND.hlo is a serialized HloModuleProto.
For the small case 'check', check.npz also has all arguments and the expected
result. 'ours' is the path used on accelerators, einsums in chunks of
256 MB; 'published' is equation 3 as published, with global spans, and keeps
all maps.

  python benchmarks/export_hlo.py --output_dir=/tmp/hlo
  python benchmarks/export_hlo.py --output_dir=/tmp/hlo --cases=check
"""

import io
import os
import pathlib
import sys

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors
from axial_tf.files import atomic_files
from axial_tf.keras2 import keras
from axial_tf.layers.attention import backends
from axial_tf.models import axial_resnet, settings_by_name

# Variant, height and width, batch, training.
_CASES = {
    'check': ('axial_resnet_s', 65, 2, False),
    'resnet_s_224_infer': ('axial_resnet_s', 224, 64, False),
    'resnet_s_224_train': ('axial_resnet_s', 224, 64, True),
    'deeplab_s_1025_infer': ('axial_deeplab_s', 1025, 1, False),
    'deeplab_s_1025_train': ('axial_deeplab_s', 1025, 2, True),
    'deeplab_l_1025_infer': ('axial_deeplab_l', 1025, 1, False),
}
# Backend, precision policy.
_KINDS = {
    'ours': ('einsum', 'float32'),
    'published': ('equation', 'float32'),
    'ours_bf16': ('einsum', 'mixed_bfloat16'),
}
_CHUNK_BYTES = 256 << 20

_OUTPUT_DIR = cli.define_path('output_dir', None, 'folder of the programs.')
_CHOSEN = flags.DEFINE_list('cases', list(_CASES), 'Cases to write.')


def program(case: str, kind: str):
  """Returns the compiled function, its images, and the serialized program."""
  variant, size, batch, training = _CASES[case]
  backend, policy = _KINDS[kind]
  keras.mixed_precision.set_global_policy(policy)
  overrides = {'span': 0} if kind == 'published' else {}
  model = axial_resnet.AxialResNet(
      settings_by_name.variant_settings(variant, **overrides))
  images = tf.random.stateless_normal([batch, size, size, 3], [1, 2])
  model(images[:1, :65, :65])

  @tf.function(jit_compile=True)
  def step(images):
    if not training:
      return model(images)['res5']
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(tf.square(tf.cast(
          model(images, training=True)['res5'], tf.float32)))
    return tape.gradient(loss, model.trainable_variables)

  with backends.use(model, backend, _CHUNK_BYTES):
    content = step.experimental_get_compiler_ir(images)(stage='hlo_serialized')
  return model, step, images, content


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
  cli.require_known('cases', _CHOSEN.value, list(_CASES))
  for case in _CHOSEN.value:
    for kind in _KINDS:
      model, step, images, content = program(case, kind)
      path = os.path.join(_OUTPUT_DIR.value, f'{case}.{kind}.hlo')
      atomic_files.write(path, content)
      print(f'{path}: {len(content)} bytes', flush=True)
      if (case, kind) == ('check', 'ours'):
        atomic_files.write(
            os.path.join(_OUTPUT_DIR.value, 'check.npz'),
            _check(model, step, images))


if __name__ == '__main__':
  cli.run(main, __doc__)
