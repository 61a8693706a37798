"""Settings of an attention layer, from a backbone's settings to the layer."""

import dataclasses
from typing import Literal, Optional

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.layers import normalization

Backend = Literal[
    'auto', 'matmul', 'einsum', 'lanes', 'compiled', 'fused', 'equation']

_ACTIVATIONS = ('softmax', 'sigmoid')


@dataclasses.dataclass(frozen=True)
class AttentionTerms:
  """Which terms of equation 3 are in use; all of them in the paper.

  Attributes:
    content: whether the logits have the term q.k.
    query_position: whether the logits have the term q.r^q.
    key_position: whether the logits have the term k.r^k.
    value_content: whether values v are retrieved.
    value_position: whether embeddings r^v are retrieved.
  """
  content: bool = True
  query_position: bool = True
  key_position: bool = True
  value_content: bool = True
  value_position: bool = True

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        self.content or self.query_position or self.key_position, self,
        'content', 'content, query_position or key_position to be True')
    settings_lib.require(
        self.value_content or self.value_position, self, 'value_content',
        'value_content or value_position to be True')

  @property
  def num_logit_terms(self) -> int:
    return self.content + self.query_position + self.key_position

  @property
  def num_value_terms(self) -> int:
    return self.value_content + self.value_position


@dataclasses.dataclass(frozen=True)
class AttentionSettings:
  """Settings that all attention layers of a network may share.

  Attributes:
    heads: number of heads; divides the channels.
    span: odd number of keys that a query sees, centered on it; None for the
      whole axis. Local 2-D attention sees span x span pixels.
    terms: terms of the logits and of the values that are in use.
    activation: 'softmax' over the keys or 'sigmoid' of each logit.
    norm: settings of the batch norms, or None for no batch norm.
    backend: implementation of axial attention: 'fused' compiles each chunk of
      rows with XLA into few loops over its map, or, in inference with
      TensorFlow 2.15 and AVX-512, into loops over tiles of rows; 'matmul' uses
      ordinary TensorFlow operations only, which any server has; 'einsum' leaves
      their layout to the compiler of an accelerator; 'lanes' has rows along the
      lanes of a TPU, and is 'einsum' where sizes are unknown while tracing and
      for local spans; 'compiled' compiles an axis as a whole with XLA, one
      program for all layers of equal shapes, whose maps are loops for shallow
      heads, and is 'einsum' where sizes are unknown while tracing or replicas
      share batch norm statistics;
      'auto' is 'compiled' on GPUs, on TPUs 'lanes' for global attention of
      many rows along a short axis and 'einsum' otherwise, elsewhere 'fused'
      for shallow heads and static image sizes in graph functions, and 'matmul'
      otherwise;
      'equation' computes equation 3 as it is written and keeps all maps.
    chunk_bytes: size of a chunk's map in bytes, at least that of one row, or
      twice that of the vectors of rows in tiles; None for what suits the
      machine.
  """
  heads: int = 8
  span: Optional[int] = None
  terms: AttentionTerms = AttentionTerms()
  activation: str = 'softmax'
  norm: Optional[normalization.BatchNormSettings] = (
      normalization.BatchNormSettings())
  backend: Backend = 'auto'
  chunk_bytes: Optional[int] = None

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    require(self.heads >= 1, self, 'heads', 'at least 1')
    check_span(type(self).__name__, 'span', self.span)
    require(self.activation in _ACTIVATIONS, self, 'activation',
            "'softmax' or 'sigmoid'")
    require(self.chunk_bytes is None or self.chunk_bytes >= 1, self,
            'chunk_bytes', 'at least 1')


def check_span(owner: str, field: str, span: Optional[int]) -> None:
  """Raises errors.UserError unless the span is odd and positive, or None."""
  if span is not None and (span < 1 or span % 2 == 0):
    raise errors.UserError(
        f'{owner}.{field}: expected a positive odd number, got {span}; None '
        f'means the whole axis')
