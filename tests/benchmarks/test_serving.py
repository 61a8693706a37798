"""All that is timed gives the same result, and the overhead is what is left."""

import numpy as np

from axial_tf.serving import export
from benchmarks import serving
from tests import color_model


def test_what_is_timed_gives_the_same_map(tmp_path):
  inference = color_model.inference()
  file = serving.jpeg(color_model.scene()[0])
  image = serving.decoding(file)()['image']
  functions = {
      **serving.keras_functions(inference, image),
      **serving.exported_functions(
          export.export_saved_model(inference, str(tmp_path)), image, file)}
  assert len(functions) == 6
  expected = inference.predict(image[np.newaxis])['panoptic_map']
  for name, run in functions.items():
    outputs = run()
    np.testing.assert_array_equal(outputs['panoptic_map'], expected)
    assert ('panoptic_png_bytes' in outputs) == (
        'Keras' not in name and name != 'session, no PNG'), name


def test_overhead_is_beyond_decoding_and_png():
  *_, told = serving.report({
      'Keras, any size': 100.0, 'Keras, this size': 40.0,
      'SavedModel, pixels': 105.0, 'session, pixels': 104.0,
      'session, no PNG': 102.0, 'session, file': 113.0, 'decoding': 10.0})
  assert told == ('overhead of the session beyond decoding: 3.0 %, without the '
                  '2.0 ms of the PNG: 1.0 %')
