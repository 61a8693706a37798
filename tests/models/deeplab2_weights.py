"""Loads reference weights, kept under DeepLab2's paths, into our variables."""

import re

# Applied in this order to a path of DeepLab2.
_RENAMES = (
    (r'^encoder/', 'backbone/'),
    (r'_stem/_conv(\d)(_bn_act|_bn)', r'stem/conv\1'),
    (r'_stage(\d)/_block(\d+)', r'stage\1_block\2'),
    (r'_conv1_bn_act/_(?=(depth|point)wise)', ''),
    (r'_conv1_bn_act/', 'reduce/'),
    (r'_conv3_bn/', 'expand/'),
    (r'_shortcut/', 'shortcut/'),
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
    (r'_conv/', 'conv/'),
)


def our_name(path: str) -> str:
  """Returns the name of our variable for a path of DeepLab2."""
  for pattern, replacement in _RENAMES:
    path = re.sub(pattern, replacement, path)
  return path


def name_below(layer, variable) -> str:
  """Returns a variable's name without that of the layer it belongs to."""
  name = variable.name.split(':')[0]
  prefix = layer.name + '/'
  return name[len(prefix):] if name.startswith(prefix) else name


def reference_arrays(layer, arrays: dict) -> dict:
  """Maps the names of `layer`'s variables to arrays kept by DeepLab2's paths.

  Batch norm of logits and outputs is flattened to (term, head[, channel]).
  """
  shapes = {name_below(layer, v): v.shape for v in layer.variables}
  return {our_name(path): array.reshape(shapes[our_name(path)])
          for path, array in arrays.items()}


def assign(layer, arrays: dict) -> None:
  """Sets every variable of a built `layer` from arrays by DeepLab2's paths."""
  references = reference_arrays(layer, arrays)
  names = {name_below(layer, v) for v in layer.variables}
  if names != set(references):
    raise AssertionError(
        f'variables without counterpart: {sorted(names ^ set(references))}')
  for variable in layer.variables:
    variable.assign(references[name_below(layer, variable)])


def with_prefix(oracle, prefix: str) -> dict:
  """Returns the arrays of an oracle file under `prefix`, e.g. 'w:'."""
  return {key[len(prefix):]: oracle[key] for key in oracle.files
          if key.startswith(prefix)}
