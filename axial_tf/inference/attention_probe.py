"""Computes what one pixel attends to in a layer of a backbone.

The backbone runs block by block up to the requested layer, so that the network
needs no hooks and no other attention map is computed.
"""

from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.layers.attention import axial_2d, plain
from axial_tf.layers.residual import bottleneck
from axial_tf.models import staged_backbone


class PixelAttention(NamedTuple):
  """Attention of one query pixel, on the map [h, w] that a layer sees.

  Attributes:
    height: float32 [h], weights of the query's column.
    width: float32 [w], weights of its row.
    product: float32 [h, w]: share of each pixel in the output of the query.
      The width layer weights the columns, and the height layer has weighted
      the pixels of each column, from the query's row: product[y, x] =
      width[x] * height_x[y]. Under a softmax it sums to 1.
    query: (row, column) of the query on the map.
    pixels_per_cell: (y, x) distance of neighboring rows and columns in pixels
      of the image; the first ones coincide with the image's first.
  """
  height: np.ndarray
  width: np.ndarray
  product: np.ndarray
  query: Tuple[int, int]
  pixels_per_cell: Tuple[float, float]


def layers(backbone: keras.Model) -> Dict[str, int]:
  """Returns name -> number of heads of the layers with axial attention.

  They are in the order of the forward pass. A backbone without any gives an
  empty dict.
  """
  return {
      name: block.attention.settings.heads
      for name, block in _blocks(backbone).items()
      if _is_axial(block)}


def probe(model: keras.Model, images: tf.Tensor, *,
          pixel: Tuple[int, int], layer: Optional[str] = None,
          head: Optional[int] = None) -> PixelAttention:
  """Runs a model up to a layer and returns what a pixel attends to there.

  Args:
    model: a built `panoptic_deeplab.PanopticDeepLab`.
    images: float32 [1, height, width, 3] in -1..1.
    pixel: (y, x) in the image.
    layer: one of `layers(model.backbone)`; None for the last one.
    head: number of the head, from 0, in both the height and the width layer;
      None for the mean over the heads.

  Raises:
    errors.UserError: there is no such layer, pixel or head.
  """
  layer = find_layer(model.backbone, layer, head)
  check_pixel(pixel, images.shape[1:3])
  images = model.pad(images)
  block, inputs = _run_to(model.backbone, images, layer)
  cell = tuple(  # Corners of feature maps coincide.
      (n - 1) / (m - 1)
      for n, m in zip(images.shape[1:3], inputs.shape[1:3]))
  return _attend(block.attention, inputs, pixel, cell, head)


def find_layer(
    backbone: keras.Model, layer: Optional[str], head: Optional[int]
) -> str:
  """Returns the name of a layer that has a head; None is the last layer.

  Raises:
    errors.UserError: the backbone has no such layer, or the layer no such head.
  """
  known = layers(backbone)
  if not known:
    raise errors.UserError(
        'attention: expected a network with axial attention, got one that has '
        'no axial attention in any layer; leave its picture out')
  if layer is None:
    layer = list(known)[-1]
  if layer not in known:
    raise errors.UserError(
        f'layer: expected one of this network\'s layers, got {layer}; known: '
        f'{", ".join(known)}')
  if head is not None and not 0 <= head < known[layer]:
    raise errors.UserError(
        f'head: expected 0 to {known[layer] - 1} in layer {layer}, got {head}')
  return layer


def check_pixel(pixel: Tuple[int, int], size: Tuple[int, int]) -> None:
  """Raises a UserError unless an image (height, width) has the pixel (y, x)."""
  if not all(0 <= p < n for p, n in zip(pixel, size)):
    raise errors.UserError(
        f'pixel: expected y of 0 to {size[0] - 1} and x of 0 to {size[1] - 1}'
        f', got {pixel[0]},{pixel[1]}')


def _attend(attention, inputs, pixel, cell, head):
  # A strided layer has queries at some pixels only: the nearest is taken.
  step = attention.axis_stride
  row, column = (
      min(round(p / (c * step)), (n - 1) // step) * step
      for p, c, n in zip(pixel, cell, inputs.shape[1:3]))
  by_column = plain.pixel_weights(  # [w, heads, h]
      attention.height_axis, tf.transpose(inputs[0], [1, 0, 2]), row)
  columns = attention.height_axis(inputs, stride=step)[0, row // step]
  of_row = plain.pixel_weights(  # [heads, w]
      attention.width_axis, columns[tf.newaxis], column)[0]
  # The heads of the width layer see those of the height layer mixed, so a
  # number names a pair by convention only; the mean takes all pairs.
  if head is None:
    by_column, of_row = tf.reduce_mean(by_column, 1), tf.reduce_mean(of_row, 0)
  else:
    by_column, of_row = by_column[:, head], of_row[head]
  product = tf.transpose(by_column * of_row[:, tf.newaxis])
  return PixelAttention(
      by_column[column].numpy(), of_row.numpy(), product.numpy(),
      (row, column), cell)


def _is_axial(block) -> bool:
  return isinstance(block.attention, axial_2d.AxialAttention2D)


def _blocks(backbone) -> Dict[str, keras.layers.Layer]:
  """Returns the residual blocks by name, in order."""
  if not isinstance(backbone, staged_backbone.StagedBackbone):
    return {}
  return {
      **{f'stem_{conv.name}': conv for conv in backbone.stem.convs
         if isinstance(conv, bottleneck.Bottleneck)},
      **{block.name: block for blocks in backbone.stages for block in blocks},
  }


def _run_to(backbone, images, name):
  """Returns a block and the input of its attention."""
  blocks = _blocks(backbone)
  features = images
  if not name.startswith('stem_'):
    features = backbone.stem(images, training=False)
    blocks = {key: block for key, block in blocks.items()
              if not key.startswith('stem_')}
  names = list(blocks)
  for before in names[:names.index(name)]:
    features = blocks[before](features, training=False)
  return blocks[name], blocks[name].attention_inputs(features)
