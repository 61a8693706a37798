"""Provides Keras 2: `tf.keras` of TensorFlow 2.15, `tf_keras` of later ones.

`tf.keras` of TensorFlow 2.16 and later is Keras 3, which the Model Garden and
the checkpoints of this package do not know. Both may be used in one program.
"""

import os
from typing import Any

import tensorflow as tf

from axial_tf import errors

# Whether this is the line of TensorFlow 2.15, which tensorflow-addons needs.
IS_TF_2_15 = tf.__version__.startswith('2.15.')

if IS_TF_2_15:
  if os.environ.get('TF_USE_LEGACY_KERAS', '0').lower() in ('1', 'true'):
    raise errors.UserError(
        'TF_USE_LEGACY_KERAS: expected it not to be set with TensorFlow 2.15, '
        'whose tf.keras is Keras 2; run: unset TF_USE_LEGACY_KERAS')
  keras = tf.keras
else:
  try:
    import tf_keras
  except ImportError as error:
    raise errors.UserError(
        f'TensorFlow {tf.__version__} needs the package tf_keras '
        f'({errors.first_line(error)}); run: pip install '
        f"'tf-keras=={'.'.join(tf.__version__.split('.')[:2])}.*'") from error
  keras = tf_keras


def require(value: Any, owner: str) -> None:
  """Raises errors.UserError for a layer, model or tensor of Keras 3.

  Args:
    value: argument that a user has passed.
    owner: name of the class that it was passed to.
  """
  if not IS_TF_2_15 and any(
      base.__module__.split('.')[0] == 'keras' for base in type(value).__mro__):
    raise errors.UserError(
        f'{owner}: expected a model or tensor of Keras 2, got a '
        f'{type(value).__name__} of Keras 3; make it with `from '
        f'axial_tf.keras2 import keras`')
