"""An export of SSAP serves segments, and heads that a client decodes."""

import json
import pathlib

import numpy as np
import pytest

from axial_tf.client import affinity_maps
from axial_tf.export import comparison, saved_model
from axial_tf.prediction import predictor
from tests import tiny_ssap


@pytest.mark.long
def test_an_export_serves_and_clients_decode(tmp_path):
  inference = tiny_ssap.inference()
  # It is compared with the partition that stops at stride 8.
  version = pathlib.Path(
      saved_model.export_saved_model(inference, str(tmp_path / 'export')))
  image = comparison.generated_image(70, 97)
  model = predictor.Predictor(str(version))
  result = model(image)
  served = inference.served()(image[np.newaxis])['panoptic_map'][0]
  np.testing.assert_array_equal(result.panoptic_map, served)
  heads = model.heads(result)
  assert set(heads.pictures()) == {'affinities', 'partitions'}
  content = json.loads((version / 'model.json').read_text())
  decoded = affinity_maps.decode(
      {name: value[np.newaxis] for name, value in heads.maps.items()}, content)
  expected = inference(image[np.newaxis])['panoptic_map'][0].numpy()
  assert np.mean(decoded == expected) > 0.999  # But for rounding.
