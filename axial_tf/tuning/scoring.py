"""Scores choices of settings on the stored heads of two halves of the images.

The halves are contiguous in the order of names: frames of one film look alike,
and would leak from one half to the other if every second one were taken.
"""

import functools
import sys
from typing import Dict, Mapping, Sequence, Tuple

import tensorflow as tf
from tqdm import tqdm

from axial_tf.evaluation import panoptic_quality
from axial_tf.experiment import tuned
from axial_tf.inference import multi_scale
from axial_tf.panoptic import merging
from axial_tf.specs import dataset_spec
from axial_tf.tasks import panoptic
from axial_tf.tuning import heads

Halves = Tuple[
    panoptic_quality.PanopticQuality, panoptic_quality.PanopticQuality]


class Scorer:
  """Merges all images for each new choice; remembers the scores."""

  def __init__(
      self, images: Mapping[
          multi_scale.MultiScaleSettings, Sequence[heads.Image]],
      spec: dataset_spec.DatasetSpec):
    """Takes images by their views, in the same order for all views."""
    self._images = images
    self._spec = spec
    self._scores: Dict[tuned.Choice, Halves] = {}
    self._bar = tqdm(desc='search', unit=' settings', leave=False,
                     file=sys.stderr, mininterval=0.5)

  def close(self) -> None:
    """Removes the progress bar."""
    self._bar.close()

  def halves(self, choice: tuned.Choice) -> Halves:
    """Returns the scores of both halves."""
    if choice not in self._scores:
      self._scores[choice] = self._score(choice)
      self._bar.update()
    return self._scores[choice]

  def of_both(self, first: tuned.Choice, second: tuned.Choice
              ) -> panoptic_quality.PanopticQuality:
    """Returns the score with one choice for each half."""
    total = panoptic_quality.PanopticQuality(self._spec)
    total.merge(self.halves(first)[0])
    total.merge(self.halves(second)[1])
    return total

  def _score(self, choice: tuned.Choice) -> Halves:
    halves = tuple(
        panoptic_quality.PanopticQuality(self._spec) for _ in range(2))
    merge = _merging(choice.merging, self._spec)
    images = self._images[choice.multi_scale]
    for place, stored in enumerate(images):
      image = heads.read(stored.path, self._spec)
      image['prediction'] = merge(*(
          tf.constant(image[key])[tf.newaxis]
          for key in ('semantic', 'center_heatmap', 'offset')))[0].numpy()
      halves[place >= (len(images) + 1) // 2].add(
          panoptic.overlaps(image, self._spec))
    return halves


def _merging(settings: merging.MergingSettings, spec: dataset_spec.DatasetSpec):
  """Returns (semantic, heatmap, offset), batches of one -> panoptic maps."""
  merge = functools.partial(
      merging.merge_classes, classes=spec.num_classes,
      thing_ids=spec.thing_ids, label_divisor=spec.label_divisor,
      void_label=spec.void_label, settings=settings)
  return tf.function(
      lambda *maps: merge(*maps)['panoptic_map'], autograph=False,
      input_signature=[
          tf.TensorSpec([1, None, None], tf.int32),
          tf.TensorSpec([1, None, None]), tf.TensorSpec([1, None, None, 2])])
