"""Formats the result of a search as text."""

import dataclasses

from axial_tf.experiment import tuned
from axial_tf.inference import multi_scale
from axial_tf.tuning import tuning

_COLUMNS = ('configured', 'tuned', 'cross-fitted')


def text(result: tuning.Result) -> str:
  """Returns tables of the scores, per class, too, and of what was chosen."""
  about = result.tuning
  scores = [quality.result() for quality in (
      result.configured, result.fitted, result.cross_fitted)]
  names = ['PQ', 'PQ of things', 'PQ of stuff'] + [
      category.name for category in result.spec.categories]
  rows = [
      *([score[group] for score in scores]
        for group in ('all', 'things', 'stuff')),
      *([score['per_class'][category.train_id] for score in scores]
        for category in result.spec.categories)]
  width = max(map(len, (*names, *_values(about.tuned))))
  lines = [
      f'{about.images} validation images, {about.checkpoint}; "tuned" is '
      f'scored on the images of the search and too good,',
      'in "cross-fitted" each half has what was chosen on the other one', '',
      f'{"":{width}}' + ''.join(f'  {name:>12}' for name in _COLUMNS)]
  lines += [
      f'{name:{width}}' + ''.join(_score(score) for score in row)
      for name, row in zip(names, rows)]
  columns = [_values(choice) for choice in (
      about.configured, about.tuned, *about.halves)]
  lines += ['', f'{"":{width}}' + ''.join(f'  {name:>12}' for name in (
      'configured', 'tuned', 'first half', 'second half'))]
  lines += [
      f'{name:{width}}' + ''.join(f'  {column[name]:>12}' for column in columns)
      for name in columns[0]]
  return '\n'.join(lines)


def _score(score) -> str:
  is_present = score['n'] if 'n' in score else (
      score['tp'] + score['fp'] + score['fn'])
  value = f'{100 * score["pq"]:.2f}' if is_present else '-'
  return f'  {value:>12}'


def _values(choice: tuned.Choice):
  """Returns the settings that are searched, and what the views cost."""
  merging = dataclasses.asdict(choice.merging)
  return {
      **{name: str(merging[name]) for name in (
          'suppression', 'center_threshold', 'nms_kernel', 'min_agreement',
          'min_instance_area', 'max_centers', 'stuff_area_limit')},
      'scales': ','.join(f'{s:g}' for s in choice.multi_scale.scales),
      'flip': str(choice.multi_scale.flip),
      'pixels of the network': f'x {_cost(choice.multi_scale):.3g}'}


def _cost(views: multi_scale.MultiScaleSettings) -> float:
  """Returns the pixels of all views, relative to those of the image."""
  return sum(scale ** 2 for scale, _ in views.views())
