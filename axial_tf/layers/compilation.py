"""Decides what XLA compiles: the one place that knows devices and modes.

- A training step: the passes of attention axes on GPUs, one program for all
  axes of equal shapes (`attention.compiled`).
- Validation and prediction: on GPUs, the forward pass of the whole network, one
  program for each shape of its images.
- On CPUs, elementwise loops of attention only: the XLA of CPUs has slower
  convolutions than oneDNN.
- On TPUs nothing in particular, as TensorFlow compiles whole steps there.

A mode changes this for a run: 'always' compiles on CPUs what is compiled on
GPUs, 'never' compiles none of it. Shapes that are unknown while tracing are
never compiled.
"""

import collections
from typing import Literal, Optional

import tensorflow as tf

from axial_tf import devices, keras2

Mode = Literal['auto', 'always', 'never']

# Compiling a network takes as long as many calls, so only a shape that comes
# often has a program, and there are few of them: a folder may have images of
# many sizes.
CALLS_BEFORE_COMPILING = 100
PROGRAMS = 4


def pays(mode: Mode) -> bool:
  """Whether programs of static shapes compile as a whole on this device."""
  where = devices.of_programs()
  return where != 'tpu' and (
      mode == 'always' or (mode == 'auto' and where == 'gpu'))


def elementwise_loops_pay() -> bool:
  """Whether loops of elementwise operations that are traced now compile."""
  return tf.inside_function() and devices.of_programs() == 'cpu'


def tiles_pay() -> bool:
  """Whether small loops in a program are quicker than operations on maps.

  They are with AVX-512, and have not been measured without it. The XLA of
  TensorFlow 2.16 and later calls each loop as an operation of its own, which
  takes longer than many of these loops do.
  """
  return keras2.IS_TF_2_15 and devices.has_avx512()


def backend_of_run(mode: Mode) -> Optional[str]:
  """Returns the attention backend of a run; None leaves it to the device."""
  where = devices.of_programs()
  if where == 'tpu' or mode == 'auto':
    return None
  if mode == 'always':
    return 'compiled'
  return 'matmul' if where == 'cpu' else 'einsum'


def backend_of_device(fits_fused: bool, fits_lanes: bool) -> str:
  """Returns the backend of an attention axis whose settings have 'auto'.

  Args:
    fits_fused: whether the loops of the backend 'fused' suit the axis.
    fits_lanes: whether the backend 'lanes' does.
  """
  where = devices.of_programs()
  if where == 'gpu':
    return 'compiled'
  if where == 'tpu':
    return 'lanes' if fits_lanes else 'einsum'
  # Compiling takes seconds: not for one call, and not for each image size.
  return 'fused' if tf.inside_function() and fits_fused else 'matmul'


def axis_is_program(backend: str, shape: tf.TensorShape, exchanges: bool
                    ) -> bool:
  """Whether the passes of an attention axis are programs of their own.

  Args:
    backend: backend of the axis.
    shape: shape of its inputs.
    exchanges: whether it exchanges statistics with other replicas, which a
      program cannot do.
  """
  return (backend == 'compiled' and tf.inside_function()
          and shape.is_fully_defined() and not exchanges)


class Recurring:
  """Chooses the shapes that are worth a program, among those that come."""

  def __init__(self, mode: Mode):
    """Takes the mode; 'always' compiles a shape when it first comes."""
    self._pays = pays(mode)
    self._calls_before = 0 if mode == 'always' else CALLS_BEFORE_COMPILING
    self._calls = collections.Counter()
    self._programs = set()

  def __call__(self, shape: tf.TensorShape) -> bool:
    """Whether the next call with this static shape is compiled."""
    key = tuple(shape)
    if not self._pays or key in self._programs:
      return self._pays
    if len(self._programs) == PROGRAMS:
      return False
    if self._calls[key] == self._calls_before:
      self._programs.add(key)
      return True
    self._calls[key] += 1
    return False
