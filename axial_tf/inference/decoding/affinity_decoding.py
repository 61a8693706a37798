"""SSAP: affinities of pixels, and a partition of their graph."""

import dataclasses
from typing import Dict, List

import numpy as np
import tensorflow as tf

from axial_tf.inference import multi_scale
from axial_tf.inference.decoding import decoding
from axial_tf.models import image_sizes
from axial_tf.panoptic.ssap import (
  cascade_in_graph,
  cascade_settings,
  edges,
  pixel_labels_in_graph,
  windows,
)
from axial_tf.panoptic.ssap import decoding as ssap_decoding

_SERVED_STRIDE = 8


class AffinityDecoding(decoding.Decoding):
  """Decodes the heads of `ssap.SSAP`.

  For each stride S from 64 to 4, of the padded image: 'edge_weights_S' [batch,
  h, w, (window * window - 1) / 2], see `edges.edge_weights`, and 'things_S'
  [batch, h, w], 1 where the most probable class is countable, else 0.
  """

  HEADS = ssap_decoding.HEADS
  COMPILES = False  # Neither Python on the host nor the contractions.

  @property
  def max_instances(self) -> int:
    return self.settings.max_instances

  @property
  def served_settings(self) -> cascade_settings.CascadeSettings:
    """Operations of TensorFlow, and no level finer than stride 8.

    Pixels below it take the nearest segment, which deviates from SSAP: a flat
    graph of stride 4 takes such operations too long.
    """
    return dataclasses.replace(
        self.settings, in_graph=True,
        start_stride=max(self.settings.start_stride, _SERVED_STRIDE),
        stop_stride=max(self.settings.stop_stride, _SERVED_STRIDE))

  def heads(self, network, images, views) -> Dict[str, tf.Tensor]:
    """As `Decoding.heads`. Only class probabilities are of all scales.

    At another scale, a window of affinities spans other pairs of pixels.
    """
    size = tf.unstack(tf.shape(images)[1:3])
    height, width = (
        static or dynamic for static, dynamic in zip(images.shape[1:3], size))
    own = multi_scale.MultiScaleSettings(flip=views.flip)
    seen = images
    if views.flip:
      # The pixels of all maps coincide with those of the mirrored image only
      # if no padding is to follow.
      seen = image_sizes.pad(images, windows.STRIDES[0], 'edge')
    found = multi_scale.average(network, seen, own, _of_image)
    semantic = found['semantic_probabilities'][:, :height, :width]
    if views.scales != own.scales:
      semantic = multi_scale.average(
          network, images, views, _classes_of_image)['semantic_probabilities']
    heads = {'semantic_probabilities': semantic}
    for stride in windows.STRIDES:
      affinity = found[f'affinity_{stride}']
      level = edges.level_maps(
          affinity, found[f'semantic_{stride}'], stride=stride,
          size=(height, width), thing_ids=self.spec.thing_ids,
          window=windows.side(affinity.shape[-1]),
          refine=self.settings.refine)
      heads[f'{ssap_decoding.EDGES}{stride}'] = level['weights']
      heads[f'{ssap_decoding.THINGS}{stride}'] = tf.cast(
          level['is_thing'], tf.float32)
    return heads

  def merge(self, heads) -> Dict[str, tf.Tensor]:
    """As `Decoding.merge`, with scores of 1 but on void.

    A segment's score then is the mean probability of its class (unconfirmed).
    """
    probabilities = heads['semantic_probabilities']
    category = tf.argmax(probabilities, -1, output_type=tf.int32)
    labels = {
        'classes': probabilities.shape[-1], 'thing_ids': self.spec.thing_ids,
        'label_divisor': self.spec.label_divisor,
        'void_label': self.spec.void_label, 'settings': self.settings}
    maps = category, *(heads[name] for name in self.HEADS)
    if self.settings.in_graph:
      panoptic = tf.map_fn(
          lambda image: self._merge_in_graph(*image, **labels), maps,
          parallel_iterations=1, fn_output_signature=tf.int32)
    else:
      panoptic = tf.numpy_function(
          lambda *values: self._merge_on_host(*values, **labels), maps,
          tf.int32, stateful=False)
    panoptic = tf.ensure_shape(panoptic, category.shape)
    return {'panoptic_map': panoptic, 'score_map': tf.cast(
        tf.not_equal(panoptic, self.spec.void_label), tf.float32)}

  def _merge_on_host(self, category, *heads, **labels):
    """Decodes a batch of arrays, which may be empty."""
    panoptic = np.zeros(category.shape, np.int32)
    for index in range(len(category)):
      panoptic[index] = ssap_decoding.decode(
          {name: values[index] for name, values in zip(self.HEADS, heads)},
          category[index], **labels)
    return panoptic

  def _merge_in_graph(self, category, *heads, **labels):
    """Decodes one image."""
    heads = dict(zip(self.HEADS, heads))
    window = ssap_decoding.window_of(heads)
    levels: List[Dict[str, tf.Tensor]] = [
        {'weights': heads[f'{ssap_decoding.EDGES}{stride}'],
         'is_thing': heads[f'{ssap_decoding.THINGS}{stride}'] > 0}
        for stride in self.settings.strides]
    return pixel_labels_in_graph.panoptic_labels(
        cascade_in_graph.partition(levels, window)[-1], category,
        stride=self.settings.stop_stride, window=window, **labels)


def _classes_of_image(outputs, view: multi_scale.View) -> Dict[str, tf.Tensor]:
  """Maps the class probabilities of a view back to the image."""
  probabilities = tf.nn.softmax(outputs['semantic_logits'])
  return {'semantic_probabilities': (
      tf.reverse(probabilities, [2]) if view.flip else probabilities)}


def _of_image(outputs, view: multi_scale.View) -> Dict[str, tf.Tensor]:
  """Maps the outputs for a view of scale 1 back to the image."""
  heads = _classes_of_image(outputs, view)
  for stride in windows.STRIDES:
    semantic = tf.nn.softmax(outputs[f'semantic_logits_{stride}'])
    affinity = tf.sigmoid(outputs[f'affinity_logits_{stride}'])
    if view.flip:
      semantic, affinity = (
          tf.reverse(values, [2]) for values in (semantic, affinity))
      affinity = tf.gather(
          affinity, windows.mirrored(windows.side(affinity.shape[-1])),
          axis=-1)
    heads[f'semantic_{stride}'] = semantic
    heads[f'affinity_{stride}'] = affinity
  return heads
