"""Searches one setting after the other until none of them gains."""

import dataclasses
from typing import Callable, Iterator, Sequence

from axial_tf.experiment import tuned
from axial_tf.inference import multi_scale
from axial_tf.specs import dataset_spec

_OF_THINGS = {
    'suppression': ('window', 'border'),
    'center_threshold': (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
    'nms_kernel': (3, 7, 13, 25, 41),
    'min_agreement': (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    'min_instance_area': (0, 10, 20, 50, 100, 200),
    'max_centers': (50, 100, 200, 400),
}
_OF_STUFF = {'stuff_area_limit': (0, 64, 256, 1024, 2048, 4096, 8192)}
LOWEST_THRESHOLD = min(_OF_THINGS['center_threshold'])


def fit(score: Callable[[tuned.Choice], float], start: tuned.Choice,
        views: Sequence[multi_scale.MultiScaleSettings],
        spec: dataset_spec.DatasetSpec) -> tuned.Choice:
  """Returns the best choice that changes of single settings lead to.

  Args:
    score: function of a choice; more is better.
    start: first choice; what equals it in score does not replace it.
    views: views to choose from.
    spec: the categories, which decide what matters.
  """
  best, before = start, None
  while best != before:
    before = best
    for name in ('views', *_grid(spec)):
      options = _views(best, views) if name == 'views' else (
          _merging(best, name, _grid(spec)[name]))
      best = max((best, *options), key=score)  # The first of equals.
  return best


def _grid(spec: dataset_spec.DatasetSpec):
  return {**(_OF_THINGS if spec.thing_ids else {}),
          **(_OF_STUFF if spec.stuff_ids else {})}


def _views(choice, views) -> Iterator[tuned.Choice]:
  return (dataclasses.replace(choice, multi_scale=view) for view in views)


def _merging(choice, name, values) -> Iterator[tuned.Choice]:
  return (dataclasses.replace(choice, merging=dataclasses.replace(
      choice.merging, **{name: value})) for value in values)
