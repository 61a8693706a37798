"""An exported model as TensorFlow Serving runs it: in a session of TF 1."""

import contextlib

import numpy as np
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session


class ServedModel:
  """Runs a version's signatures; may be called from several threads."""

  def __init__(self, folder: str):
    self._session = tf.compat.v1.Session(graph=tf.Graph())
    meta_graph = tf.compat.v1.saved_model.load(
        self._session, ['serve'], folder)
    self._session._extend_graph()
    self.signatures = meta_graph.signature_def

  def __call__(self, signature: str, **inputs):
    """Returns all outputs by name."""
    return self.run(
        signature, inputs, sorted(self.signatures[signature].outputs))

  def run(self, signature: str, inputs, names):
    """Returns the named outputs.

    The inputs go into the session unchanged: a server does not compare them
    with the shapes of placeholders, as Python does.
    """
    signature = self.signatures[signature]
    values = pywrap_tf_session.TF_SessionRun_wrapper(
        self._session._session, None,
        {self._tensor(signature.inputs[key]): (
            value if isinstance(value, np.ndarray)
            else np.array(value, object))
         for key, value in inputs.items()},
        [self._tensor(signature.outputs[name]) for name in names], [], None)
    return dict(zip(names, values))

  def _tensor(self, info):
    tensor = self._session.graph.get_tensor_by_name(info.name)
    return tensor._as_tf_output()


@contextlib.contextmanager
def invalid_argument(part: str):
  """Expects INVALID_ARGUMENT with a part of its message."""
  try:
    yield
  except tf.errors.InvalidArgumentError as error:
    assert part in error.message, error.message
  else:
    raise AssertionError(f'expected an error with {part!r}')
