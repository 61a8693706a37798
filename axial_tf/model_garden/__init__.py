"""Brings Axial-ResNet into the TensorFlow Model Garden.

`import axial_tf.model_garden` registers the backbone 'axial_resnet', the tasks
and the experiments. docs/model_garden.md says how they are used.
"""

import sys

if sys.argv[:1] == ['-m']:
  # `python -m axial_tf.model_garden.train` imports this package before the
  # command; the command line has to silence TensorFlow before it is loaded.
  from axial_tf import cli  # noqa: F401

from axial_tf.model_garden import backbone, experiments, tasks  # noqa: F401
