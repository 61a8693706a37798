"""Weights of the authors' PyTorch attention layers, as ours.

The layers differ in how they store the same numbers:

- The rows of the projection are ordered by head, each [query | key | value];
  ours are all queries, all keys, all values.
- `bn_output` interleaves, per channel, retrieved content (even) and retrieved
  position (odd); ours has all content channels before all position channels.
- `relative` [query | key | value depth, 2 L - 1] is a table for one length L,
  made for looking from the key to the query in its query and value parts, so
  that these are reversed; ours has 509 rows, offset 0 in the middle.
- Batch norm has epsilon 1e-5 and, in PyTorch's words, momentum 0.1.

Arrays named like an attention layer's part of a PyTorch state_dict go in;
arrays named like the variables of AxialAttention come out. All maps are
linear, so that gradients can be converted the same way.
"""

from typing import Dict, Mapping

import numpy as np
import tensorflow as tf

from axial_tf.layers import attention_core, normalization

NORM = normalization.BatchNormSettings(momentum=0.9, epsilon=1e-5)
_NORM_PARTS = {'weight': 'gamma', 'bias': 'beta', 'running_mean': 'moving_mean',
               'running_var': 'moving_variance'}


def attention_arrays(state: Mapping[str, np.ndarray],
                     heads: int = 8) -> Dict[str, np.ndarray]:
  """Returns the arrays of one AxialAttention.

  Args:
    state: `qkv_transform.weight` [2C, C, 1], `relative` [2 C / heads, 2L - 1],
      and `weight`, `bias`, `running_mean`, `running_var` of `bn_qkv` [2C],
      `bn_similarity` [3 * heads] and `bn_output` [2C]. What is missing (as
      running statistics are among gradients) is left out; what has no
      counterpart (`flatten_index`, `num_batches_tracked`) is ignored.
    heads: which the file does not tell.

  Returns:
    Arrays by variable name within the layer, e.g. 'qkv_norm/gamma'.
  """
  kernel = state['qkv_transform.weight'][:, :, 0].T
  order = _queries_keys_values(kernel.shape[1], heads)
  arrays = {'qkv_kernel': kernel[:, order], **_tables(state['relative'])}
  for theirs, ours in _NORM_PARTS.items():
    if f'bn_qkv.{theirs}' not in state:
      continue
    arrays[f'qkv_norm/{ours}'] = state[f'bn_qkv.{theirs}'][order]
    # Terms in the order content, query position, key position in both.
    arrays[f'logit_norm/{ours}'] = state[f'bn_similarity.{theirs}']
    arrays[f'output_norm/{ours}'] = (
        state[f'bn_output.{theirs}'].reshape(-1, 2).T.reshape(-1))
  return arrays


def assign(layer: tf.keras.layers.Layer,
           arrays: Mapping[str, np.ndarray]) -> None:
  """Gives a built layer all its weights.

  Raises:
    KeyError: an array is missing.
    ValueError: an array has another shape than its variable, or no variable.
  """
  arrays = dict(arrays)
  for variable in layer.variables:
    variable.assign(arrays.pop(name_within(variable)))
  if arrays:
    raise ValueError(f'{layer.name} has no variables for {sorted(arrays)}')


def name_within(variable: tf.Variable) -> str:
  """Returns the name below an attention layer, e.g. 'qkv_norm/gamma'."""
  parts = variable.name.split(':')[0].split('/')
  return '/'.join(parts[-2:] if parts[-2].endswith('_norm') else parts[-1:])


def _queries_keys_values(channels, heads):
  """Returns where, in their rows, each of our columns is."""
  by_head = np.arange(channels).reshape(heads, -1)  # [heads, q | k | v]
  depth = by_head.shape[1] // 4
  parts = np.split(by_head, [depth, 2 * depth], axis=1)
  return np.concatenate([part.reshape(-1) for part in parts])


def _tables(relative):
  """[q | k | v depth, 2L - 1] -> three tables [509, depth]."""
  depth, offsets = relative.shape[0] // 4, relative.shape[1]
  query, key, value = np.split(relative, [depth, 2 * depth])
  before = attention_core.TABLE_ROWS // 2 - offsets // 2
  if before < 0:
    raise ValueError(
        f'expected at most {attention_core.TABLE_ROWS} offsets, got {offsets}')
  padding = [(before, before), (0, 0)]
  return {'query_rpe': np.pad(query.T[::-1], padding),
          'key_rpe': np.pad(key.T, padding),
          'value_rpe': np.pad(value.T[::-1], padding)}
