"""Lists the activations that a training step keeps for its backward pass.

They are read from the graph, by type of operation, and need no device. Tensors
that are views of each other count once; variables and constants do not count.
Temporary memory within an operation is not included: the measured peak is
higher.

  python benchmarks/kept_for_backward.py         # Axial-ResNet-S at 224x224
  python benchmarks/kept_for_backward.py --variant=axial_deeplab_s \\
    --size=1025 --batch_size=1 --kinds=ours,recompute --largest=5
  python benchmarks/kept_for_backward.py --precision=bfloat16
"""

import collections
import functools
import pathlib
import sys

from absl import flags
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.keras2 import keras
from axial_tf.layers.attention import backends
from axial_tf.models import axial_resnet, settings_by_name
from axial_tf.training import kept_for_backward

_VARIANT = flags.DEFINE_string('variant', 'axial_resnet_s', 'Row of VARIANTS.')
_SIZE = flags.DEFINE_integer('size', 224, 'Pixels of a side of the images.')
_BATCH = flags.DEFINE_integer('batch_size', 8, 'Number of images.')
_KINDS = ('ours', 'published', 'recompute')
_CHOSEN = flags.DEFINE_list(
    'kinds', ['ours'], 'ours: as accelerators compute it, in chunks of 256 MB; '
    'published: equation 3 as published; recompute: ours with recompute=axial.')
_PRECISION = flags.DEFINE_enum(
    'precision', 'float32', ['float32', 'bfloat16', 'float16'],
    'type of activations.')
_LARGEST = flags.DEFINE_integer('largest', 0, 'Number of tensors to list.')

_CHUNK_BYTES = 256 << 20


def _count_with_bodies(definition) -> int:
  """Counts operations; those of functions and bodies once per call."""
  functions = {
      f.signature.name: f.node_def for f in definition.library.function}

  @functools.lru_cache(None)
  def size(name):
    return count(functions[name])

  def count(nodes):
    return sum(1 + sum(
        size(value.func.name) for key, value in node.attr.items()
        if value.HasField('func') and value.func.name in functions
        and not key.startswith('_')) for node in nodes)

  return count(definition.node)


def _trace(variant, size, batch, kind):
  """Returns the graph of a step, and its number of forward operations."""
  overrides = {'recompute': 'axial'} if kind == 'recompute' else {}
  model = axial_resnet.AxialResNet(
      settings_by_name.variant_settings(variant, **overrides))
  model(tf.zeros([1, 65, 65, 3]))
  forward = []

  @tf.function(autograph=False)
  def step(images):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(tf.square(tf.cast(
          model(images, training=True)['res5'], tf.float32)))
    forward.append(len(tf.compat.v1.get_default_graph().get_operations()))
    return tape.gradient(loss, model.trainable_variables)

  backend = 'equation' if kind == 'published' else 'einsum'
  with backends.use(model, backend, _CHUNK_BYTES):
    graph = step.get_concrete_function(
        tf.TensorSpec([batch, size, size, 3])).graph
  return graph, forward[0]


def report(variant: str, size: int, batch: int, kind: str, largest: int
           ) -> None:
  """Prints the kept memory per image, and the largest tensors."""
  graph, forward = _trace(variant, size, batch, kind)
  operations = graph.get_operations()
  kept = kept_for_backward.tensors(operations, forward)
  sizes = [kept_for_backward.num_bytes(tensor) for tensor in kept]
  total = sum(sizes)
  print(f'{variant}, {batch} images of {size} pixels, {kind}, '
        f'{_PRECISION.value}: '
        f'{total / 1e6 / batch:.1f} MB an image kept; '
        f'{_count_with_bodies(graph.as_graph_def())} operations with bodies, '
        f'{len(operations)} in the outer graph, {forward} of them forward')
  by_type = collections.Counter()
  for tensor, count in zip(kept, sizes):
    by_type[tensor.op.type] += count
  for name, count in by_type.most_common(12):
    print(f'  {name:24} {count / 1e6 / batch:9.1f} MB an image '
          f'{100 * count / total:5.1f} %')
  for index in np.argsort(sizes)[::-1][:largest]:
    print(f'  {sizes[index] / 1e6:9.1f} MB {kept[index].op.type:20} '
          f'{kept[index].shape.as_list()} {kept[index].name[-100:]}')


def main():
  cli.require_known('kinds', _CHOSEN.value, _KINDS)
  if _PRECISION.value != 'float32':
    keras.mixed_precision.set_global_policy(f'mixed_{_PRECISION.value}')
  for kind in _CHOSEN.value:
    report(_VARIANT.value, _SIZE.value, _BATCH.value, kind, _LARGEST.value)


if __name__ == '__main__':
  cli.run(main, __doc__)
