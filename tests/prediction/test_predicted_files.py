"""Each requested picture is drawn, and mistakes are reported early."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import restore
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.models import axial_resnet, panoptic_decoder, panoptic_deeplab
from axial_tf.prediction import predicted_files, predictor
from tests import color_model

_BRANCH = panoptic_decoder.BranchSettings(
    projection_channels=8, res3_channels=8, res2_channels=8,
    decoder_channels=8, head_channels=8)


def _run(folder, monkeypatch, **backbone):
  """A predictor of a small network as if it came from a training run."""
  spec = color_model.inference().spec
  network = panoptic_deeplab.PanopticDeepLab(
      panoptic_deeplab.PanopticDeepLabSettings(
          axial_resnet.AxialResNetSettings(
              width_multiplier=0.125, heads=2, blocks=(1, 1, 1, 1), span=None,
              **backbone), _BRANCH, _BRANCH), spec.num_classes)
  network(tf.zeros([1, 33, 33, 3]))
  monkeypatch.setattr(
      restore, 'load_inference',
      lambda _: panoptic_inference.PanopticInference(
          network, spec, spec.merging_settings(), max_long_side=64))
  (folder / 'config.gin').write_text('')
  return predictor.Predictor(folder)


@pytest.fixture(scope='module')
def attentive(tmp_path_factory):
  with pytest.MonkeyPatch.context() as monkeypatch:
    yield _run(tmp_path_factory.mktemp('run'), monkeypatch)


@pytest.mark.usefixtures('eager')
def test_all_pictures_of_images_of_any_size(attentive):
  names = ('overlay', 'heatmap', 'offsets', 'attention')
  pictures = predicted_files.Pictures(names)
  pictures.check(attentive)
  rng = np.random.default_rng(0)
  for shape in ((1, 1), (3, 90)):
    image = rng.integers(0, 256, [*shape, 3], np.uint8)
    drawn = pictures.draw(attentive, attentive(image))
    assert set(drawn) == set(names)
    for picture in drawn.values():
      assert picture.dtype == np.uint8 and picture.shape[2] == 3
    # The overlay has the image's size, the others that of the network's view.
    assert drawn['overlay'].shape[1] >= shape[1]
    assert drawn['attention'].shape[1] == 4 * min(
        shape[1], round(shape[1] * 64 / max(shape)) or 1) + 12


@pytest.mark.usefixtures('eager')
def test_only_requested_pictures_are_drawn(attentive):
  result = attentive(np.zeros([20, 20, 3], np.uint8))
  for names in ((), ('heatmap',), ('offsets', 'attention')):
    drawn = predicted_files.Pictures(names).draw(attentive, result)
    assert set(drawn) == set(names)


def test_attention_is_that_of_the_layer_head_and_pixel(attentive):
  image = np.random.default_rng(0).integers(0, 256, [40, 50, 3], np.uint8)
  layers = attentive.attention_layers()
  assert list(layers)[-1] == 'stage5_block1'

  def draw(**options):
    return attentive.attention(image, **{'pixel': (20, 20), **options})

  np.testing.assert_array_equal(draw(), draw(layer='stage5_block1'))
  for other in ({'layer': 'stage2_block1'}, {'pixel': (5, 40)}):
    assert not np.array_equal(draw(), draw(**other))
  heads = [draw(layer='stage2_block1', head=head) for head in (0, 1)]
  assert not np.array_equal(*heads)


@pytest.mark.parametrize('options, words', [
    ({'layer': 'x'}, 'layer: .* got x; known: stage2_block1, stage3_block1'),
    ({'head': 2}, 'head: expected 0 to 1 in layer stage5_block1, got 2')])
def test_mistakes_are_named_before_images_are_read(attentive, options, words):
  with pytest.raises(errors.UserError, match=words):
    predicted_files.Pictures(['attention'], **options).check(attentive)


def test_a_pixel_outside_of_the_image_is_named(attentive):
  with pytest.raises(errors.UserError, match='y of 0 to 19 and x of 0 to 29'):
    attentive.attention(np.zeros([20, 30, 3], np.uint8), (20, 5))


def test_a_network_without_attention_has_no_attention_picture(
    tmp_path, monkeypatch):
  model = _run(tmp_path, monkeypatch, spatial='convolution')
  assert model.attention_layers() == {}
  predicted_files.Pictures(['heatmap']).check(model)
  with pytest.raises(errors.UserError, match='no axial attention'):
    predicted_files.Pictures(['attention']).check(model)


def test_an_export_has_heads_but_no_attention(export_dir):
  model = predictor.Predictor(export_dir)
  image, _ = color_model.scene()
  drawn = predicted_files.Pictures(['heatmap', 'offsets']).draw(
      model, model(image))
  assert all(p.shape[1] >= image.shape[1] for p in drawn.values())
  with pytest.raises(errors.UserError, match='is an export'):
    predicted_files.Pictures(['attention']).check(model)


def test_a_pixel_is_y_and_x():
  assert predicted_files.parse_pixel('120,80') == (120, 80)
  assert predicted_files.parse_pixel(None) is None


@pytest.mark.parametrize('text', ['12', 'a,b', '1,2,3', '-1,5', '1,-5', ''])
def test_invalid_pixels_are_refused(text):
  with pytest.raises(errors.UserError, match='--pixel: expected y,x'):
    predicted_files.parse_pixel(text)
