"""Converts weights of the authors' PyTorch code (csrhddlam/axial-deeplab).

Its networks store the same values in another order:

- The rows of a projection are ordered by head, each [query | key | value];
  ours are all queries, all keys, all values.
- `bn_output` interleaves, per channel, retrieved content (even) and retrieved
  position (odd); ours has all content channels before all position channels.
- `relative` [query | key | value depth, 2 L - 1] is a table for one length L,
  whose query and value parts are indexed from the key to the query, and are
  therefore reversed; ours has 509 rows with offset 0 in the middle, enough for
  any length up to 255.
- Batch norm has epsilon 1e-5 and momentum 0.1 in PyTorch's definition.
- Kernels are [out, in, height, width].

Files older than the repository's commit 81e375b have other names and are
rejected as weights that do not match.
"""

import re
from typing import Dict, Mapping, Tuple

import numpy as np

from axial_tf.layers.attention import tables

_HEADS = 8  # Not stored in a file.
_NORM_PARTS = {'weight': 'gamma', 'bias': 'beta', 'running_mean': 'moving_mean',
               'running_var': 'moving_variance'}
# Convolutions and their batch norms by our names; blocks are named below.
_STEM = {'conv1': 'stem/conv1/conv', 'bn1': 'stem/conv1/norm'}
_BLOCK = {
    'conv_down': 'reduce/conv', 'bn1': 'reduce/norm',
    'conv_up': 'expand/conv', 'bn2': 'expand/norm',
    'downsample.0': 'shortcut/conv', 'downsample.1': 'shortcut/norm',
}
_AXES = {'hight_block': 'height_axis', 'width_block': 'width_axis'}  # Sic.
_IN_BLOCK = re.compile(r'layer(\d+)\.(\d+)\.(.+)')
_WITHOUT_COUNTERPART = ('num_batches_tracked', 'flatten_index')


def arrays(state: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
  """Returns the weights of one of its classifiers by our variables' names.

  Unknown weights keep their names.

  Args:
    state: the state_dict.
  """
  result: Dict[str, np.ndarray] = {}
  attention: Dict[str, Dict[str, np.ndarray]] = {}
  for name, value in state.items():
    layer, _, part = name.rpartition('.')
    if part in _WITHOUT_COUNTERPART:
      continue
    match = _IN_BLOCK.fullmatch(layer)
    inside = match.group(3) if match else ''
    axis, _, below = inside.partition('.')
    if inside in _AXES or axis in _AXES:
      place = f'{_block_name(match)}/attention/{_AXES[axis]}'
      attention.setdefault(place, {})[
          f'{below}.{part}' if below else part] = value
    elif match and inside in _BLOCK:
      result.update(_renamed(
          f'{_block_name(match)}/{_BLOCK[inside]}', part, value))
    elif layer in _STEM:
      result.update(_renamed(f'backbone/{_STEM[layer]}', part, value))
    elif layer == 'fc':
      result['last/kernel' if part == 'weight' else 'last/bias'] = value.T
    else:
      result[name] = value
  for place, numbers in attention.items():
    result.update({f'{place}/{name}': value for name, value in
                   attention_arrays(numbers).items()})
  return result


def structure(state: Mapping[str, np.ndarray]
              ) -> Tuple[float, Tuple[int, ...]]:
  """Returns the width multiplier and the number of blocks of each stage.

  Args:
    state: the state_dict.

  Raises:
    KeyError: it is from another network.
  """
  matches = [match for match in map(_IN_BLOCK.match, state) if match]
  blocks = {(int(m.group(1)), int(m.group(2))) for m in matches}
  counts = tuple(sum(1 for stage, _ in blocks if stage == number)
                 for number in (1, 2, 3, 4))
  return state['conv1.weight'].shape[0] / 64, counts


def attention_arrays(state: Mapping[str, np.ndarray],
                     heads: int = _HEADS) -> Dict[str, np.ndarray]:
  """Returns the weights of one AxialAttention by its variables' names.

  The conversion is linear, so gradients can be converted the same way.

  Args:
    state: `qkv_transform.weight` [2C, C, 1], `relative` [2 C / heads, 2L - 1],
      and `weight`, `bias`, `running_mean`, `running_var` of `bn_qkv` [2C],
      `bn_similarity` [3 * heads] and `bn_output` [2C]. Missing entries (such as
      running statistics among gradients) are left out; those without a
      counterpart are ignored.
    heads: number of heads of the layer.
  """
  kernel = state['qkv_transform.weight'][:, :, 0].T
  order = _queries_keys_values(kernel.shape[1], heads)
  result = {'qkv_kernel': kernel[:, order], **_tables(state['relative'])}
  for theirs, ours in _NORM_PARTS.items():
    if f'bn_qkv.{theirs}' not in state:
      continue
    result[f'qkv_norm/{ours}'] = state[f'bn_qkv.{theirs}'][order]
    # Terms in the order content, query position, key position in both.
    result[f'logit_norm/{ours}'] = state[f'bn_similarity.{theirs}']
    result[f'output_norm/{ours}'] = (
        state[f'bn_output.{theirs}'].reshape(-1, 2).T.reshape(-1))
  return result


def _block_name(match) -> str:
  stage, block = int(match.group(1)), int(match.group(2))
  return f'backbone/stage{stage + 1}_block{block + 1}'


def _renamed(place: str, part: str, value: np.ndarray
             ) -> Dict[str, np.ndarray]:
  if place.endswith('/conv'):
    return {f'{place}/kernel': value.transpose(2, 3, 1, 0)}
  return {f'{place}/{_NORM_PARTS[part]}': value}


def _queries_keys_values(channels, heads):
  """Returns the index of each of our columns in their rows."""
  by_head = np.arange(channels).reshape(heads, -1)  # [heads, q | k | v]
  depth = by_head.shape[1] // 4
  parts = np.split(by_head, [depth, 2 * depth], axis=1)
  return np.concatenate([part.reshape(-1) for part in parts])


def _tables(relative):
  """[q | k | v depth, 2L - 1] -> three tables [509, depth]."""
  depth, offsets = relative.shape[0] // 4, relative.shape[1]
  query, key, value = np.split(relative, [depth, 2 * depth])
  before = tables.TABLE_ROWS // 2 - offsets // 2
  if before < 0:
    raise ValueError(
        f'expected at most {tables.TABLE_ROWS} offsets, got {offsets}')
  padding = [(before, before), (0, 0)]
  return {'query_rpe': np.pad(query.T[::-1], padding),
          'key_rpe': np.pad(key.T, padding),
          'value_rpe': np.pad(value.T[::-1], padding)}
