"""Finds the functions of a graph that XLA compiles."""

from typing import Set

import tensorflow as tf

_ATTRIBUTE = '_XlaMustCompile'


def compiled(graph: tf.Graph) -> Set[str]:
  """Returns the names of functions, at any depth, that XLA has to compile."""
  definition = graph.as_graph_def()
  functions = definition.library.function
  nodes = [*definition.node,
           *(node for function in functions for node in function.node_def)]
  return {function.signature.name for function in functions
          if function.attr[_ATTRIBUTE].b} | {
              node.attr['f'].func.name for node in nodes
              if node.attr[_ATTRIBUTE].b}
