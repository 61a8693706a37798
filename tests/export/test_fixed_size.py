"""TFLite and ONNX files give the heads of the model, or are refused."""

import numpy as np
import onnx
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.export import comparison, fixed_size
from axial_tf.inference import panoptic as panoptic_inference
from tests import color_model, tiny_network

_SIZE = 33, 49


@pytest.fixture(scope='module')
def inference():
  return tiny_network.inference()


@pytest.fixture(scope='module')
def files(inference):
  return {file_format: fixed_size.convert(inference, *_SIZE, file_format)
          for file_format in fixed_size.FORMATS}


@pytest.mark.parametrize('file_format', ['tflite', 'onnx'])
def test_files_of_full_precision_equal_the_model(
    inference, files, file_format):
  content = files[file_format]
  report = fixed_size.check(inference, content, *_SIZE, file_format)
  assert report.heads < 1e-5
  assert report.agreement == 1
  # Another model stands for a wrong conversion:
  other = panoptic_inference.PanopticInference(
      color_model.ColorModel(), color_model.SPEC, color_model.MERGING)
  with pytest.raises(errors.UserError, match='disagrees'):
    fixed_size.check(other, content, *_SIZE, file_format)


def test_tflite_keeps_names_and_types_of_the_savedmodel(files):
  interpreter = tf.lite.Interpreter(model_content=files['tflite'])
  signature = interpreter.get_signature_list()['serving_default']
  assert signature['inputs'] == ['image_tensor']
  assert set(signature['outputs']) == {
      'semantic_probabilities', 'center_heatmap', 'offset'}
  details, = interpreter.get_input_details()
  assert details['dtype'] == np.uint8
  assert details['shape'].tolist() == [1, *_SIZE, 3]


def test_eight_bits_are_smaller_and_their_differences_reported(
    inference, files):
  small = files['tflite_dynamic']
  # Three of four bytes of each weight, in kernels of 1024 or more.
  saved = 3 * inference.model.stem.kernel.shape.num_elements()
  assert len(files['tflite']) - len(small) > 0.7 * saved > 0
  report = fixed_size.check(inference, small, *_SIZE, 'tflite_dynamic')
  assert 1e-5 < report.heads < 0.2
  assert 0.9 <= report.agreement <= 1


@pytest.mark.parametrize('height, width', [(17, 33), (97, 13), (161, 331)])
def test_scales_of_onnx_give_the_intended_sizes(
    inference, height, width):
  """Runtimes cut off what follows the point of size * scale: 9 * 1.88... ."""
  model = onnx.load_from_string(
      fixed_size.convert(inference, height, width, 'onnx'))
  constants = {tensor.name: onnx.numpy_helper.to_array(tensor)
               for tensor in model.graph.initializer}
  resized = [node for node in model.graph.node if node.op_type == 'Resize']
  assert resized
  small = np.float32([1, 6, (height + 1) // 2, (width + 1) // 2])
  for node in resized:
    scales = constants[node.input[2]]
    assert scales.dtype == np.float32
    for product in (small * scales,
                    small.astype(np.float64) * scales.astype(np.float64)):
      assert np.floor(product).tolist() == [1, 6, height, width]


def test_generated_images_have_all_colors():
  image = comparison.generated_image(50, 70)
  assert image.shape == (50, 70, 3)
  assert image.min() < 20 and image.max() > 235
