"""Counts the multiply-adds of attention by its formula, and of chains."""

from typing import Iterable

from axial_tf import errors


def attention(*, pixels: int, queries: int, keys: int, channels: int,
              key_channels: int, value_channels: int, logit_terms: int,
              value_terms: int) -> int:
  """Returns the multiply-adds of one attention layer for one image.

  The projection to queries, keys and values counts for every pixel. A pair of
  a query and a key counts once per channel of each term in use: q.k, q.r^q and
  k.r^k have key_channels, v and r^v have value_channels. Windows count in
  full, even where they extend past the edge of the image. Batch norm and
  softmax are left out, as is usual.

  Args:
    pixels: number of pixels that are projected.
    queries: number of pixels that attend.
    keys: number of keys seen by each query.
    channels: channels of the input.
    key_channels: channels of the keys of all heads together.
    value_channels: channels of the values of all heads together.
    logit_terms: number of terms among content, query and key position.
    value_terms: number of terms among content and position.
  """
  projection = pixels * channels * (2 * key_channels + value_channels)
  per_pair = logit_terms * key_channels + value_terms * value_channels
  return projection + queries * keys * per_pair


def of_chain(layers: Iterable, height: int, width: int) -> int:
  """Returns the multiply-adds of layers that follow each other.

  Args:
    layers: layers with `strides` and `multiply_adds`.
    height: height of the input of the first one.
    width: its width.
  """
  total = 0
  for layer in layers:
    total += layer.multiply_adds(height, width)
    height, width = (-(-size // layer.strides) for size in (height, width))
  return total


def require_built(layer) -> None:
  """Raises errors.UserError if the input channels are not known yet."""
  if not layer.built:
    raise errors.UserError(
        f'{layer.name}: expected a built layer to count its multiply-adds, '
        f'got one that has seen no input; call it or its build() first')
