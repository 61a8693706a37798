"""Backbones of a stem and four stages of residual blocks."""

import dataclasses
from typing import Any, Iterator, List, Sequence

import tensorflow as tf

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.layers import multiply_adds
from axial_tf.models import backbone


@dataclasses.dataclass(frozen=True)
class Place:
  """The place of a block in a network.

  Attributes:
    stage: index of its stage, from 0.
    block: index in its stage, from 0.
    strides: strides of the block.
    dilation: dilation of its convolutions, or of the first of two.
    next_dilation: dilation of the convolutions after a dropped stride of
      this block.
  """
  stage: int
  block: int
  strides: int
  dilation: int
  next_dilation: int

  @property
  def name(self) -> str:
    return f'stage{self.stage + 2}_block{self.block + 1}'


def places(blocks: Sequence[int], *, stem_stride: int, first_stage_stride: int,
           output_stride: int) -> Iterator[Place]:
  """Lists the blocks of all stages, in order.

  Each stage starts with a stride, unless that would exceed the output stride:
  then the convolutions that follow are dilated instead.

  Args:
    blocks: number of blocks in each stage.
    stem_stride: stride of the features before the first stage.
    first_stage_stride: stride of the first stage's features; each further
      stage doubles it.
    output_stride: output stride of the last stage.
  """
  stride, dilation = stem_stride, 1
  for stage, count in enumerate(blocks):
    full_stride = first_stage_stride << stage
    target_stride = min(full_stride, output_stride)
    for block in range(count):
      next_dilation = full_stride // target_stride
      yield Place(
          stage, block, target_stride // stride, dilation, next_dilation)
      stride, dilation = target_stride, next_dilation


class StagedBackbone(backbone.Backbone):
  """Runs a stem and stages, which subclasses make; settings have the strides.

  Attributes:
    stem: a layer whose output is not activated.
    stages: lists of blocks, of 'res2' to 'res5'; blocks start with a ReLU.
  """

  def __init__(self, settings: Any, **kwargs):
    super().__init__(settings, **kwargs)
    self.stem: keras.layers.Layer
    self.stages: List[List[keras.layers.Layer]]

  def call(self, images, training=False, with_detail=False):
    """Computes the endpoints.

    Args:
      images: float [batch, height, width, 3] in -1..1, of any size from the
        output stride on.
      training: whether batch norm uses the statistics of this batch.
      with_detail: whether 'detail' is among the endpoints.

    Returns:
      Activated features: 'stem' (stride 2, or 4 with pooling) and 'res2' to
      'res5' (strides 4, 8, 16, 32, at most the output stride; with the 'small'
      stem 1, 2, 4, 8, or with pooling twice that); 'detail' is the stem before
      pooling (stride 2, or 1 with the 'small' stem).

    Raises:
      errors.UserError: images known to be smaller than the output stride.
    """
    self._check_size(images.shape)
    features, detail = self.stem(images, training=training, with_detail=True)
    endpoints = {'stem': tf.nn.relu(features)}
    if with_detail:
      endpoints['detail'] = tf.nn.relu(detail)
    for index, blocks in enumerate(self.stages):
      for block in blocks:
        features = block(features, training=training)
      endpoints[f'res{index + 2}'] = tf.nn.relu(features)
    return endpoints

  def _check_size(self, shape):
    stride = self._settings.output_stride
    if shape.rank != 4 or any(
        size is not None and size < stride for size in shape[1:3]):
      raise errors.UserError(
          f'{self.name}: expected images [batch, height, width, 3] with height '
          f'and width of at least the output stride, {stride}; got shape '
          f'{tuple(shape)}. Enlarge or pad the images')

  def multiply_adds(self, height: int, width: int) -> int:
    """Returns the multiply-adds of a built model for one image of this size.

    Raises:
      errors.UserError: the model is not built.
    """
    multiply_adds.require_built(self)
    total = self.stem.multiply_adds(height, width)
    stride = self._settings.stem_stride
    height, width = -(-height // stride), -(-width // stride)
    for blocks in self.stages:
      for block in blocks:
        total += block.multiply_adds(height, width)
        height, width = block.output_size(height, width)
    return total
