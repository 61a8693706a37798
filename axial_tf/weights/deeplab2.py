"""Converts weights of DeepLab2's checkpoints (google-research/deeplab2).

They are TensorFlow object checkpoints. The backbone is under `encoder`, or, in
files that the Model Garden's trainer wrote, under `backbone/_encoder`. Layouts
of the arrays are ours, except that the batch norms of an attention's logits and
outputs have additional axes. The decoder that the backbone of MaX-DeepLab-L has
after 'res5' is left out: Panoptic-DeepLab does not use it.
"""

import re
from typing import Dict, Mapping, Set

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.training import checkpoints

# Entries that are not weights of the network.
_OTHER = re.compile(
    r'(^|/)(optimizer|global_step|save_counter|\.OPTIMIZER_SLOT)(/|$)'
    r'|/_decoder_stage\d')
# In a block or an ASPP with these layers, other names have another meaning.
_BASIC_BLOCK = re.compile(r'(.*/_block\d+/)_conv2_bn/.*')
_ASPP = re.compile(r'(.*/_aspp/)_conv_bn_act/.*')

# Applied in this order to a path.
_RENAMES = (
    (r'^backbone/_encoder/', 'backbone/'),
    (r'^encoder/', 'backbone/'),
    (r'_stem/_conv(\d)(_bn_act|_bn)', r'stem/conv\1'),
    (r'_stem/_(?=conv/|batch_norm)', r'stem/conv1/_'),
    (r'_stage1/_block(\d+)', r'stem/block\1'),
    (r'_stage(\d)/_block(\d+)', r'stage\1_block\2'),
    (r'_conv1_bn_act/_(?=(depth|point)wise)', ''),
    (r'_conv1_bn_act/', 'reduce/'),
    (r'_conv2_bn_act/', 'conv/'),
    (r'_conv2_bn/', 'second/'),
    (r'_conv3_bn/', 'expand/'),
    (r'_shortcut/', 'shortcut/'),
    (r'_aspp/_aspp_conv(\d)/_conv_bn_act', r'aspp/atrous\1'),
    (r'_aspp/_aspp_pool/_conv_bn_act', 'aspp/pooled'),
    (r'_aspp/_conv_bn_act', 'aspp/pixel'),
    (r'_aspp/_proj_conv_bn_act', 'projection'),
    (r'_low_level_conv1', 'res3_projection'),
    (r'_low_level_conv2', 'res2_projection'),
    (r'_fusion_conv1', 'res3_fusion'),
    (r'_fusion_conv2', 'res2_fusion'),
    (r'semantic_head_without_last_layer', 'semantic_head/hidden'),
    (r'instance_center_head_without_last_layer', 'center_head/hidden'),
    (r'instance_regression_head_without_last_layer', 'offset_head/hidden'),
    (r'semantic_last_layer', 'semantic_head/last'),
    (r'instance_center_head_last_layer', 'center_head/last'),
    (r'instance_regression_head_last_layer', 'offset_head/last'),
    (r'(_depthwise|depthwise)/_depthwise_conv', 'depthwise'),
    (r'depthwise/_batch_norm', 'depthwise_norm'),
    (r'_pointwise', 'pointwise'),
    (r'_attention/', 'attention/'),
    (r'_(height|width)_axis', r'\1_axis'),
    (r'_batch_norm_qkv', 'qkv_norm'),
    (r'_batch_norm_similarity', 'logit_norm'),
    (r'_batch_norm_retrieved_output', 'output_norm'),
    (r'_(query|key|value)_rpe/embeddings', r'\1_rpe'),
    (r'_batch_norm', 'norm'),
    (r'/_conv/', '/conv/'),
)
_FLAT = re.compile(r'/(logit|output)_norm/')


def read(path: str) -> Dict[str, np.ndarray]:
  """Returns the network's weights in a checkpoint by DeepLab2's paths.

  Args:
    path: path of the checkpoint, see `checkpoints.find`.

  Raises:
    errors.UserError: there is none, it is damaged, or shards are missing.
  """
  path = checkpoints.find(path)
  try:
    reader = checkpoints.reader(path)
    names = [name for name in reader.get_variable_to_shape_map()
             if name.endswith(checkpoints.VALUE) and not _OTHER.search(
                 name[:-len(checkpoints.VALUE)])]
    return {name[:-len(checkpoints.VALUE)]: reader.get_tensor(name)
            for name in names}
  except (tf.errors.OpError, ValueError, IndexError, RuntimeError, OSError
          ) as error:
    raise errors.UserError(
        f'{path}: cannot be read as a TensorFlow checkpoint '
        f'({errors.first_line(error)}); copy it again, with all its '
        f'.data files') from error


def arrays(weights: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
  """Returns weights by our variables' names; unknown ones keep their paths.

  Args:
    weights: weights by DeepLab2's paths.
  """
  result = {}
  basic_blocks = _owners(_BASIC_BLOCK, weights)
  aspps = _owners(_ASPP, weights)
  for path, value in weights.items():
    owner, layer, rest = re.match(
        r'(.*/_block\d+/|.*/_aspp/|)([^/]*)(.*)', path).groups()
    if owner in basic_blocks and layer == '_conv1_bn_act':
      layer = 'first'
    elif owner in aspps and layer == '_proj_conv_bn_act':
      owner, layer = owner.replace('_aspp', 'aspp'), 'projection'
    name = our_name(f'{owner}{layer}{rest}')
    result[name] = value.reshape(-1) if _FLAT.search(name) else value
  return result


def _owners(pattern, paths) -> Set[str]:
  """Returns the first groups of all paths that match."""
  return {match.group(1) for match in map(pattern.fullmatch, paths) if match}


def our_name(path: str) -> str:
  """Returns the name of our variable for a path of DeepLab2.

  It is derived from this path alone; `arrays` looks at all paths.
  """
  for pattern, replacement in _RENAMES:
    path = re.sub(pattern, replacement, path)
  return path
