"""Decodes the heads of DeeperLab into a panoptic map.

Offsets are refined, vote for keypoints, and group them into instances; pixels
of things go to the nearest instance, which takes the majority class of its
pixels; each class of stuff is one segment (DeeperLab, section 3.4). All but the
last two steps happen on the small map of the heads. Everything compiles with
XLA.
"""

from typing import Dict, Sequence

import tensorflow as tf

from axial_tf.panoptic import label_ids, merging, shapes
from axial_tf.panoptic.deeperlab import (
  assignment,
  detection,
  hough,
  keypoints,
  peaks,
  refinement,
  rescoring,
)
from axial_tf.panoptic.deeperlab.decoding_settings import (
  DeeperLabDecodingSettings,
)

STRIDE = 4
_DEFAULTS = DeeperLabDecodingSettings()


def decode(
    semantic: tf.Tensor, heads: Dict[str, tf.Tensor], *, classes: int,
    thing_ids: Sequence[int], label_divisor: int, void_label: int,
    settings: DeeperLabDecodingSettings = _DEFAULTS, stride: int = STRIDE,
) -> Dict[str, tf.Tensor]:
  """Decodes a batch, one image after the other.

  Args:
    semantic: int32 [batch, height, width], the most probable classes.
    heads: float32 maps [batch, h, w, channels], of which pixel (i, j) lies at
      (stride * i, stride * j) of the image: 'keypoint_heatmap' (5 channels,
      probabilities), 'long_offset' (10), 'short_offset' (10) and
      'middle_offset' (16), (y, x) in pixels of the image. They reach at least
      to the last pixel of the image that the stride visits, and may be larger.
    classes: number of semantic classes.
    thing_ids: train ids of the countable classes.
    label_divisor: see `label_ids`; an instance whose number within its class
      would reach it becomes void.
    void_label: the panoptic label of pixels without a result.
    settings: see `DeeperLabDecodingSettings`.
    stride: see `heads`.

  Returns:
    panoptic_map: int32 [batch, height, width]; the instances of a class count
      from 1, the best first.
    score_map: float32 [batch, height, width]; the mean score of the keypoints
      of the pixel's instance on things, 1 on stuff, 0 on void.
  """
  is_thing = label_ids.member_mask(semantic, thing_ids)
  slots = min(settings.max_instances, settings.max_keypoints)

  def one_image(inputs):
    is_thing, heads = inputs
    found, long_offset = find_instances(heads, is_thing, settings, stride)
    instance = assignment.assign_pixels(
        long_offset, is_thing, found.keypoints, found.found, stride)
    unused = slots - tf.size(found.scores)
    return instance, tf.pad(found.scores, [[0, unused]]), found.found

  height, width = semantic.shape[1:]
  instance, scores, found = tf.map_fn(
      one_image, (is_thing, heads), parallel_iterations=1,
      fn_output_signature=(
          tf.TensorSpec([height, width], tf.int32),
          tf.TensorSpec([slots], tf.float32), tf.TensorSpec([], tf.int32)))
  return merging.label_pixels(
      semantic, instance, scores, found, classes, thing_ids, label_divisor,
      void_label, settings.merging)


def find_instances(heads: Dict[str, tf.Tensor], is_thing: tf.Tensor,
                   settings: DeeperLabDecodingSettings, stride: int = STRIDE):
  """Finds the instances of one image.

  Args:
    heads: see `decode`, without the batch.
    is_thing: bool [height, width].
    settings: see `decode`.
    stride: see `decode`.

  Returns:
    `detection.Instances` with keypoints in pixels of the image, and the refined
    long offsets float32 [h', w', 5, 2] in pixels of the image. h' and w' are
    those of the part of the heads that the image covers.
  """
  heads, is_thing = _on_small_map(heads, is_thing, stride)
  heatmap = heads['keypoint_heatmap']
  long_offset, short_offset, middle_offset = (
      keypoints.grouped(heads[f'{name}_offset']) / stride
      for name in ('long', 'short', 'middle'))
  long_offset = refinement.refine_long(
      long_offset, short_offset, settings.long_by_long,
      settings.long_by_short)
  radius = settings.radius / stride
  votes = hough.fused_votes(
      heatmap, short_offset, long_offset, is_thing, radius,
      settings.long_vote_weight)
  scores = votes
  if settings.rescoring:
    scores = heatmap * rescoring.expected_similarity(votes, radius)
  starts = peaks.find(
      votes, scores, short_offset, settings.keypoint_threshold,
      settings.max_keypoints)
  found = detection.detect(
      starts, detection.follow(
          starts, middle_offset, short_offset, settings.middle_by_short),
      scores, settings.keypoint_distance / stride, settings.max_instances)
  found = found._replace(keypoints=found.keypoints * stride)
  return (detection.suppress_boxes(found, settings.max_box_overlap),
          long_offset * stride)


def _on_small_map(heads, is_thing, stride: int):
  """Cuts heads to the image, and samples the mask where they are."""
  sizes = shapes.sizes(heads['keypoint_heatmap'])
  places = []
  for axis in (0, 1):
    size = shapes.sizes(is_thing)[axis]
    # One more than those inside, for the pixels up to the image's edge.
    covered = shapes.smaller(-(-(size - 1) // stride) + 1, sizes[axis])
    places.append(covered)
    is_thing = tf.gather(
        is_thing, tf.minimum(tf.range(covered) * stride, size - 1), axis=axis)
  return {name: head[:places[0], :places[1]] for name, head in heads.items()
          }, is_thing
