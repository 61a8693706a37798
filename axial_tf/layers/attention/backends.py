"""Chooses the implementation that computes an axis: the seam for new ones.

An implementation is a function

  attend(layer, inputs, training, stride) -> outputs

of a built AxialAttention, inputs [batch, length, other, channels], at each
position of whose other axis attention is separate, whether this is training,
and the distance of queries on the axis. It covers the whole of an axis:
projection, logits, softmax, retrieval and their batch norms, moves the moving
statistics in training, and returns [batch, ceil(length / stride), other,
value_channels] in the inputs' type. An implementation
for other devices or types is added here and nowhere else.
"""

import contextlib
import dataclasses
from typing import Optional

import tensorflow as tf

from axial_tf.layers.attention import base, fast, plain
from axial_tf.layers.attention import settings as settings_lib


# No condition depends on a tensor, and converting the code takes longer than
# tracing it.
@tf.autograph.experimental.do_not_convert
def attend(layer, inputs: tf.Tensor, training: bool, stride: int) -> tf.Tensor:
  """Computes an axis by the backend of the layer's settings."""
  attend_by = plain if layer.settings.backend == 'equation' else fast
  return attend_by.attend(layer, inputs, training, stride)


def assign(model: tf.Module, backend: settings_lib.Backend) -> None:
  """Sets the backend of all layers of a model that have 'auto'."""
  for layer in _layers(model):
    if layer.settings.backend == 'auto':
      layer.settings = dataclasses.replace(layer.settings, backend=backend)


def synchronizes(model: tf.Module) -> bool:
  """Whether a layer shares batch norm statistics with other replicas."""
  norms = [layer.settings.norm for layer in _layers(model)]
  return any(norm is not None and norm.synchronizes() for norm in norms)


def _layers(model):
  return [module for module in (model, *model.submodules)
          if isinstance(module, base.AttentionLayer)]


@contextlib.contextmanager
def use(model: tf.Module, backend: settings_lib.Backend,
        chunk_bytes: Optional[int] = None):
  """Sets the backend of a layer or of all layers of a model, while inside.

  What is traced inside, such as an export, is computed by this backend.

  Args:
    model: layer, or model with attention layers.
    backend: as in AttentionSettings.
    chunk_bytes: as in AttentionSettings.
  """
  layers = _layers(model)
  before = [layer.settings for layer in layers]
  for layer in layers:
    layer.settings = dataclasses.replace(
        layer.settings, backend=backend, chunk_bytes=chunk_bytes)
  try:
    yield
  finally:
    for layer, settings in zip(layers, before):
      layer.settings = settings
