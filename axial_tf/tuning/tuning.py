"""Tunes a run: network pass, search, cross-fit."""

import contextlib
import dataclasses
import os
import tempfile
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from axial_tf import errors
from axial_tf.evaluation import panoptic_quality
from axial_tf.experiment import experiment, run, tuned
from axial_tf.inference import multi_scale
from axial_tf.panoptic import merging_settings
from axial_tf.specs import dataset_spec
from axial_tf.tasks import registry
from axial_tf.tuning import network_pass, scoring, search


class Result(NamedTuple):
  """Content of the run's file, and the scores behind it.

  Attributes:
    tuning: what was chosen.
    configured: score before.
    fitted: score after, on the images of the search.
    cross_fitted: score of each half with what the other half chose.
    spec: the categories.
  """

  tuning: tuned.Tuning
  configured: panoptic_quality.PanopticQuality
  fitted: panoptic_quality.PanopticQuality
  cross_fitted: panoptic_quality.PanopticQuality
  spec: dataset_spec.DatasetSpec


def tune(settings: experiment.Experiment, model_dir: str, checkpoint: str,
         views: Sequence[multi_scale.MultiScaleSettings] = (),
         limit: Optional[int] = None) -> Result:
  """Searches settings on the validation images; writes nothing.

  Args:
    settings: settings of the run, as its gin files configure it.
    model_dir: folder of the run.
    checkpoint: path of the checkpoint.
    views: views to try besides those of the run.
    limit: number of images, the first ones; None for all.

  Raises:
    errors.UserError: there are fewer than two images, or they, the checkpoint,
      the memory or the disk do not suffice.
  """
  strategy = run.prepare(settings.run)
  spec = registry.of(settings.task).load_spec(settings.task)
  start = tuned.Choice.of(settings.task, spec)
  if not isinstance(start.merging, merging_settings.MergingSettings):
    raise errors.UserError(
        f'{model_dir}: expected a Panoptic-DeepLab, whose merging can be '
        f'tuned, got a network with {type(start.merging).__name__}; set these '
        f'with --gin_params instead')
  views = dict.fromkeys((start.multi_scale, *views))
  threshold = least_heat(start.merging)
  with _scratch() as folder:
    images = {}
    for number, view in enumerate(views):
      place = os.path.join(folder, str(number))
      os.mkdir(place)
      images[view] = network_pass.run(
          dataclasses.replace(settings, task=dataclasses.replace(
              settings.task, multi_scale=view)),
          strategy, model_dir, checkpoint, place, threshold, limit)
    count = len(images[start.multi_scale])
    if count < 2:
      raise errors.UserError(
          f'{settings.task.data.validation_pattern}: expected at least 2 '
          f'validation images, one for each half, got {count}; tuning needs '
          f'more')
    with contextlib.closing(scoring.Scorer(images, spec)) as scorer:
      return cross_fit(scorer, start, tuple(views), spec, {
          'checkpoint': os.path.basename(checkpoint), 'images': count,
          'validation_pattern': settings.task.data.validation_pattern})


def least_heat(start: merging_settings.MergingSettings) -> float:
  """Returns the heat up to which no choice of the search uses any."""
  return min(search.LOWEST_THRESHOLD, start.center_threshold)


def cross_fit(
    scorer: scoring.Scorer, start: tuned.Choice,
    views: Sequence[multi_scale.MultiScaleSettings],
    spec: dataset_spec.DatasetSpec, about: Mapping[str, Any]) -> Result:
  """Fits both halves and all images; scores each half by the other's choice.

  Args:
    scorer: scores of both halves for any choice.
    start: what is configured.
    views: views to choose from.
    spec: the categories.
    about: other fields of `tuned.Tuning`.
  """
  def of_half(number):
    return lambda choice: _pq(scorer.halves(choice)[number])

  first, second = (
      search.fit(of_half(number), start, views, spec) for number in range(2))
  both = search.fit(
      lambda choice: _pq(scorer.of_both(choice, choice)), start, views, spec)
  configured, fitted = (
      scorer.of_both(choice, choice) for choice in (start, both))
  cross_fitted = scorer.of_both(second, first)
  return Result(
      tuned.Tuning(
          configured=start, tuned=both, halves=(first, second),
          pq=tuned.Scores(*map(_pq, (configured, fitted, cross_fitted))),
          **about),
      configured, fitted, cross_fitted, spec)


def _pq(quality: panoptic_quality.PanopticQuality) -> float:
  return float(quality.result()['all']['pq'])


@contextlib.contextmanager
def _scratch():
  """Makes a folder for the heads; reports a full disk in one line."""
  try:
    with tempfile.TemporaryDirectory(prefix='axial_tf_tune_') as folder:
      yield folder
  except OSError as error:
    raise errors.UserError(
        f'{tempfile.gettempdir()}: cannot hold the heads of the images '
        f'({errors.first_line(error)}); set TMPDIR to a folder with more '
        f'space, or tune on fewer --images') from error
