"""What a pixel attends to, in a run with attention."""

import pathlib

import numpy as np
import pytest

from axial_tf.app import segmentation, segmentation_viewer, uploads
from axial_tf.prediction import predictor

# A graph of attention is slow to trace.
pytestmark = pytest.mark.usefixtures('eager')

_RUNS = pathlib.Path(__file__).parents[1] / 'fixtures' / 'earlier_run'
_MEAN = segmentation_viewer.MEAN


@pytest.fixture(scope='module')
def viewer():
  return segmentation_viewer.SegmentationViewer(
      segmentation.Segmentation(str(_RUNS / 'run')),
      uploads.Uploads(str(_RUNS), 10_000), 10 ** 6)


@pytest.fixture
def key(viewer):
  own = viewer.model.merging
  shown = viewer.open(str(_RUNS / 'scene.png'), segmentation_viewer.Choices(
      (1.0,), False, own.center_threshold, own.nms_kernel,
      own.stuff_area_limit))
  assert shown.key, shown.message
  return shown.key


def test_layers_heads_and_pixels_differ(viewer, key):
  layers = list(viewer.model.layers)
  assert viewer.heads(layers[-1]) == [_MEAN, '0']
  drawn = [
      viewer.attention(key, *arguments)
      for arguments in ((20, 30, layers[-1], _MEAN), (20, 30, layers[0], '0'),
                        (5, 8, layers[-1], _MEAN))]
  assert all(message == '' for message, _ in drawn)
  pictures = [picture for _, picture in drawn]
  assert len({picture.tobytes() for picture in pictures}) == 3
  # Four panels, each enlarged six times.
  assert pictures[0].shape[1] > 4 * 6 * 49


def test_panels_are_those_of_a_prediction(viewer, key):
  """They are six times as large here; the cross in them is not."""
  expected = predictor.Predictor(str(_RUNS / 'run')).attention(
      str(_RUNS / 'scene.png'), (20, 30))
  _, found = viewer.attention(key, 20, 30, None, _MEAN)
  away = np.ones([33, 49], bool)
  away[14:27, 24:37] = False
  small = expected[-33:, -49:][away].astype(int)
  large = found[-33 * 6:, -49 * 6:][::6, ::6][away].astype(int)
  assert np.corrcoef(small.reshape(-1), large.reshape(-1))[0, 1] > 0.97


@pytest.mark.parametrize('arguments, words', [
    ((33, 0, None, _MEAN), 'expected y of 0 to 32'),
    ((0, 0, 'stage9', _MEAN), 'got stage9'),
    ((0, 0, None, '7'), 'got 7'),
    ((None, 0, None, _MEAN), 'y: expected a whole number'),
    ((0, 0, None, 'first'), 'head: expected a whole number'),
])
def test_mistakes_are_said(viewer, key, arguments, words):
  message, picture = viewer.attention(key, *arguments)
  assert words in message and picture is None
