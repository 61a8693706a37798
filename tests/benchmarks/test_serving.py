"""Everything timed gives the same result; overhead excludes decoding."""

import numpy as np
import pytest

from axial_tf.export import saved_model
from benchmarks import serving
from tests import color_model


@pytest.mark.slow
def test_all_timed_functions_give_the_same_map(tmp_path):
  inference = color_model.inference()
  file = serving.jpeg(color_model.scene()[0])
  decoders = serving.decodings(file)
  image = decoders['decoding']()['image']
  np.testing.assert_array_equal(decoders['checked decoding']()['image'], image)
  functions = {
      **serving.keras_functions(inference, image),
      **serving.exported_functions(
          saved_model.export_saved_model(inference, str(tmp_path)),
          image, file)}
  assert len(functions) == 6
  expected = inference.predict(image[np.newaxis])['panoptic_map']
  for name, run in functions.items():
    outputs = run()
    np.testing.assert_array_equal(outputs['panoptic_map'], expected)
    assert ('panoptic_png_bytes' in outputs) == (
        'Keras' not in name and name != 'session, no PNG'), name


def test_overhead_excludes_decoding():
  *_, png, plain, checked = serving.report({
      'Keras, any size': 100.0, 'Keras, this size': 40.0,
      'SavedModel, pixels': 105.0, 'session, pixels': 104.0,
      'session, no PNG': 102.0, 'session, file': 113.0, 'decoding': 1.0,
      'checked decoding': 10.0})
  assert png == 'PNG: 2.0 ms'
  assert plain.endswith('beyond decoding: 12.0 %')
  assert checked.endswith('beyond checked decoding: 3.0 %')
