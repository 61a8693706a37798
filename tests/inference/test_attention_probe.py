"""Probed attention is the attention that the network has used."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.inference import attention_probe
from axial_tf.layers.attention import axial_2d
from axial_tf.models import axial_resnet, panoptic_decoder, panoptic_deeplab

_BRANCH = panoptic_decoder.BranchSettings(
    projection_channels=8, res3_channels=8, res2_channels=8,
    decoder_channels=8, head_channels=8)


def _model(**backbone):
  settings = dict(width_multiplier=0.125, heads=2, blocks=(1, 2, 1, 1),
                  span=None)
  model = panoptic_deeplab.PanopticDeepLab(
      panoptic_deeplab.PanopticDeepLabSettings(
          axial_resnet.AxialResNetSettings(**{**settings, **backbone}),
          _BRANCH, _BRANCH), 3)
  model(tf.zeros([1, 33, 33, 3]))
  return model


@pytest.fixture(scope='module')
def model():
  return _model()


def _image(height, width):
  return tf.random.stateless_uniform([1, height, width, 3], [1, 2], -1, 1)


def _recorded(model, images, layer, monkeypatch):
  """Records the inputs of a layer's attention in the whole network."""
  block = {b.name: b for stage in model.backbone.stages for b in stage}[layer]
  seen = []
  call = axial_2d.AxialAttention2D.call

  def record(self, inputs, training=False):
    if self is block.attention:
      seen.append(inputs)
    return call(self, inputs, training=training)

  monkeypatch.setattr(axial_2d.AxialAttention2D, 'call', record)
  model(images)
  return block.attention, seen[0]


@pytest.mark.parametrize('layer, size, pixel', [
    ('stage3_block2', (40, 61), (12, 33)),
    ('stage3_block1', (40, 61), (39, 60)),  # Strided.
    ('stage5_block1', (1, 50), (0, 0))])
def test_shares_are_the_contributions_of_pixels_to_the_query(
    model, monkeypatch, layer, size, pixel):
  images = _image(*size)
  found = attention_probe.probe(model, images, layer=layer, pixel=pixel)
  attention, inputs = _recorded(model, images, layer, monkeypatch)
  assert found.product.shape == tuple(inputs.shape[1:3])
  for weights in (found.height, found.width, found.product):
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1, abs=1e-5)
  # The width layer's output at the query does not change with rows that the
  # height layer, in no column, has given a share to its row.
  row, column = found.query
  step = attention.strides
  assert row % step == 0 and column % step == 0
  for place, at, cells in zip(pixel, found.query, found.pixels_per_cell):
    assert abs(place - at * cells) <= step * cells


def test_the_product_is_that_of_the_row_and_of_each_column(model):
  images = _image(48, 48)
  options = dict(layer='stage3_block2', pixel=(20, 30))
  heads = [attention_probe.probe(model, images, head=h, **options)
           for h in (0, 1)]
  for found in heads:
    row, column = found.query
    np.testing.assert_allclose(
        found.product[:, column], found.height * found.width[column],
        rtol=1e-5)
    np.testing.assert_allclose(found.product.sum(0), found.width, atol=1e-6)
  mean = attention_probe.probe(model, images, **options)
  np.testing.assert_allclose(
      mean.height, (heads[0].height + heads[1].height) / 2, atol=1e-6)
  np.testing.assert_allclose(
      mean.width, (heads[0].width + heads[1].width) / 2, atol=1e-6)


def test_a_span_limits_what_is_seen():
  found = attention_probe.probe(
      _model(span=3), _image(97, 97), layer='stage2_block1', pixel=(48, 20))
  rows, columns = np.nonzero(found.product)
  assert np.abs(rows - found.query[0]).max() == 1
  assert np.abs(columns - found.query[1]).max() == 1


def test_layers_are_named_in_order_with_their_heads(model):
  names = ['stage2_block1', 'stage3_block1', 'stage3_block2',
           'stage4_block1', 'stage5_block1']
  assert attention_probe.layers(model.backbone) == dict.fromkeys(names, 2)
  stem = _model(stem='axial', stem_width_multiplier=0.25, stem_span=5)
  assert list(attention_probe.layers(stem.backbone))[:4] == [
      'stem_block1', 'stem_block2', 'stem_block3', names[0]]
  found = attention_probe.probe(
      stem, _image(32, 32), layer='stem_block2', pixel=(3, 4))
  assert found.product.shape == (17, 17)


@pytest.mark.parametrize('options, words', [
    (dict(layer='res4'), 'known: stage2_block1, stage3_block1'),
    (dict(head=2), 'head: expected 0 to 1'),
    (dict(head=-1), 'head: expected 0 to 1'),
    (dict(pixel=(32, 0)), 'y of 0 to 31'),
    (dict(pixel=(0, -1)), 'x of 0 to 39')])
def test_mistakes_list_the_options(model, options, words):
  options = {'layer': 'stage2_block1', 'pixel': (0, 0), **options}
  with pytest.raises(errors.UserError, match=words):
    attention_probe.probe(model, _image(32, 40), **options)


def test_a_network_of_convolutions_has_no_attention():
  with pytest.raises(errors.UserError, match='no axial attention'):
    attention_probe.probe(
        _model(spatial='convolution'), _image(32, 32), layer='stage2_block1',
        pixel=(0, 0))
