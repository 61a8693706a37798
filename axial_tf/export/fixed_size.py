"""Exports heads at one image size for edge devices: TFLite and ONNX.

The file takes `image_tensor`, uint8 RGB [1, height, width, 3], and returns
the outputs of the SavedModel's signature `heads`: of Panoptic-DeepLab,
semantic_probabilities, center_heatmap and offset. Merging them into segments is
left to the device.
"""

import contextlib
import os
import tempfile
import time
from typing import Callable, Dict, NamedTuple

import numpy as np
import tensorflow as tf

from axial_tf import errors, optional_imports
from axial_tf.export import comparison, saved_model
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.layers.attention import backends

FORMATS = ('tflite', 'tflite_dynamic', 'onnx')
_INPUT = 'image_tensor'
# Differences due to rounding; those of 8-bit weights are larger.
_HEAD_TOLERANCE = 1e-3
_MIN_AGREEMENT = {'tflite': 0.999, 'onnx': 0.999, 'tflite_dynamic': 0.9}
_OPSET = 17
_TIMED_RUNS = 5

Heads = Dict[str, np.ndarray]


class Report(NamedTuple):
  """A comparison of a converted model with the original.

  Attributes:
    heads: largest difference of a head, relative to its largest value above 1.
    agreement: share of the pixels whose most probable class is the same.
    milliseconds: time of the converted model for one image, median of five.
    model_milliseconds: time of the original as a TensorFlow function.
  """

  heads: float
  agreement: float
  milliseconds: float
  model_milliseconds: float

  def __str__(self):
    return (f'heads differ by {self.heads:.2g} at most, classes agree on '
            f'{100 * self.agreement:.2f} % of the pixels, '
            f'{self.milliseconds:.0f} ms an image (the model itself: '
            f'{self.model_milliseconds:.0f} ms)')


def convert(inference: panoptic_inference.PanopticInference, height: int,
            width: int, file_format: str) -> bytes:
  """Returns the content of a TFLite or ONNX file.

  Args:
    inference: the trained model.
    height: height of the images, in pixels.
    width: width of the images, in pixels.
    file_format: 'tflite' (float32), 'tflite_dynamic' (weights in 8 bits) or
      'onnx' (float32).

  Raises:
    errors.UserError: the converter for ONNX cannot be imported.
  """
  function = _heads_function(inference, height, width)
  # Standard operations only.
  with backends.use(inference.model, 'matmul'):
    if file_format == 'onnx':
      tf2onnx = optional_imports.load('tf2onnx', 'onnx', 'ONNX')
      model, _ = tf2onnx.convert.from_function(
          function, function.input_signature, opset=_OPSET)
      _raise_scales(model)
      return model.SerializeToString(deterministic=True)
    with tempfile.TemporaryDirectory() as folder:
      saved_model.save(inference.model, folder, {'serving_default': function})
      converter = tf.lite.TFLiteConverter.from_saved_model(folder)
      if file_format == 'tflite_dynamic':
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
      with _quiet():
        return converter.convert()


def check(inference: panoptic_inference.PanopticInference, content: bytes,
          height: int, width: int, file_format: str) -> Report:
  """Compares a converted model with the one that it was made from.

  Args:
    inference: the trained model.
    content: result of `convert`.
    height: height of the images, in pixels.
    width: width of the images, in pixels.
    file_format: format of the file.

  Raises:
    errors.UserError: they do not agree.
  """
  function = _heads_function(inference, height, width)
  image = comparison.generated_image(height, width)[np.newaxis]

  def original(pixels):
    return {key: value.numpy()
            for key, value in function(tf.constant(pixels)).items()}

  runner = (_onnx_runner if file_format == 'onnx' else _lite_runner)(content)
  expected, found = original(image), runner(image)
  report = Report(
      max(comparison.relative_difference(found[key], expected[key])
          for key in expected),
      float(np.mean(found['semantic_probabilities'].argmax(-1)
                    == expected['semantic_probabilities'].argmax(-1))),
      _milliseconds(runner, image), _milliseconds(original, image))
  if report.agreement < _MIN_AGREEMENT[file_format] or (
      file_format != 'tflite_dynamic' and not report.heads <= _HEAD_TOLERANCE):
    raise errors.UserError(
        f'the {file_format} file disagrees with the trained model ({report}); '
        f'expected the same classes on '
        f'{100 * _MIN_AGREEMENT[file_format]:g} % of the pixels'
        + ('; 8 bits are too few for this model, use tflite'
           if file_format == 'tflite_dynamic' else ''))
  return report


def _heads_function(inference, height: int, width: int):
  def heads(image_tensor):
    return inference.heads(image_tensor)

  return tf.function(
      heads, autograph=False, input_signature=[
          tf.TensorSpec([1, height, width, 3], tf.uint8, name=_INPUT)])


def _lite_runner(content: bytes) -> Callable[[np.ndarray], Heads]:
  # The runner does not keep its interpreter alive.
  interpreter = tf.lite.Interpreter(model_content=content)
  runner = interpreter.get_signature_runner()
  return lambda image: (interpreter, runner(**{_INPUT: image}))[1]


def _onnx_runner(content: bytes) -> Callable[[np.ndarray], Heads]:
  session = optional_imports.load(
      'onnxruntime', 'onnx', 'the check of ONNX files').InferenceSession(
          content, providers=['CPUExecutionProvider'])
  names = [output.name for output in session.get_outputs()]
  return lambda image: dict(zip(names, session.run(names, {_INPUT: image})))


def _raise_scales(model) -> None:
  """Raises scales in an ONNX model so that they yield the sizes it declares.

  tf2onnx rounds a scale to float32, so that 9 * (17 / 9) may be below 17;
  onnxruntime from 1.28 on truncates the result. The next float32 yields at
  least 17, and less than 18.
  """
  numpy_helper = optional_imports.load('onnx.numpy_helper', 'onnx', 'ONNX')
  constants = {tensor.name: tensor for tensor in model.graph.initializer}
  for name in {node.input[2] for node in model.graph.node
               if node.op_type == 'Resize'}:
    scales = numpy_helper.to_array(constants[name])
    raised = np.nextafter(scales, np.float32(np.inf))
    constants[name].CopyFrom(numpy_helper.from_array(
        np.where(scales == np.round(scales), scales, raised), name))


@contextlib.contextmanager
def _quiet():
  """Keeps the converter's statistics off stderr; failures still raise."""
  kept = os.dup(2)
  try:
    with open(os.devnull, 'w') as sink:
      os.dup2(sink.fileno(), 2)
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)


def _milliseconds(function: Callable[[np.ndarray], Heads], image) -> float:
  times = []
  for _ in range(_TIMED_RUNS):
    start = time.perf_counter()
    function(image)
    times.append(1e3 * (time.perf_counter() - start))
  return float(np.median(times))
