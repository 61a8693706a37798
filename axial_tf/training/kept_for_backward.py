"""Finds what a training step keeps for its backward pass, in its graph."""

import math
from typing import List, Sequence

import tensorflow as tf

_VIEWS = ('Reshape', 'Identity', 'ExpandDims', 'Squeeze', 'StopGradient')
_FREE = ('Const', 'Placeholder', 'ReadVariableOp', 'Shape', 'VarHandleOp')


def tensors(operations: Sequence[tf.Operation], forward: int
            ) -> List[tf.Tensor]:
  """Returns the forward tensors that the backward pass reads.

  Tensors that are views of each other count once; variables, constants and
  those of unknown size do not count.

  Args:
    operations: all operations of the graph, in their order.
    forward: number of the operations of the forward pass, which come first.
  """
  place = {operation.name: i for i, operation in enumerate(operations)}
  kept = {}
  for operation in operations[forward:]:
    for tensor in operation.inputs:
      if place[tensor.op.name] < forward:
        tensor = _origin(tensor)
        if tensor.op.type not in _FREE and tensor.shape.is_fully_defined():
          kept[tensor.name] = tensor
  return list(kept.values())


def num_bytes(tensor: tf.Tensor) -> int:
  """Returns the size of a tensor of known shape."""
  return math.prod(tensor.shape.as_list()) * tensor.dtype.size


def _origin(tensor):
  while tensor.op.type in _VIEWS:
    tensor = tensor.op.inputs[0]
  return tensor
