"""Shows segments and classes as a page does: pictures, legend, tables."""

import html
from typing import Any, List, Sequence

import numpy as np

from axial_tf import visualize
from axial_tf.app import magnification
from axial_tf.prediction.results import ClassProbability, PanopticResult

SEGMENT_COLUMNS = ('class', 'kind', 'score', 'area', 'ymin', 'xmin', 'ymax',
                   'xmax', 'id')
CLASS_COLUMNS = ('class', 'probability', 'id')


def overlay(result: PanopticResult) -> np.ndarray:
  """Returns the image under its named segments, uint8 RGB, as it is shown."""
  shown = magnification.Magnification.of(*result.panoptic_map.shape)
  return visualize.panoptic_overlay(
      shown.apply(result.image), shown.apply(result.panoptic_map), result.spec,
      labels=True)


def legend(result: PanopticResult) -> str:
  """Returns the categories of an image in their colors, the largest first.

  It is HTML. The share of each category is that of all pixels; void, which has
  no category, comes last.
  """
  areas, colors = {}, {}
  for segment in result.segments:
    areas[segment.name] = areas.get(segment.name, 0) + segment.area
    colors[segment.name] = segment.color
  pixels = result.panoptic_map.size
  void = int(np.sum(result.panoptic_map == result.spec.void_label))
  entries = [(colors[name], name, area) for name, area in sorted(
      areas.items(), key=lambda entry: -entry[1])]
  if void:
    entries.append(((0, 0, 0), 'void', void))
  return '<div class="legend">' + ''.join(
      '<span><i style="background:#{:02x}{:02x}{:02x}"></i>{} '
      '<small>{:.1f}&nbsp;%</small></span>'.format(
          *color, html.escape(name), 100 * area / pixels)
      for color, name, area in entries) + '</div>'


def segment_rows(result: PanopticResult) -> List[List[Any]]:
  """Returns a row of `SEGMENT_COLUMNS` for each segment, largest first.

  Areas are in pixels, boxes in pixels with exclusive maxima.
  """
  return [
      [segment.name, 'thing' if segment.is_thing else 'stuff',
       round(segment.score, 3), segment.area, *segment.box, segment.id]
      for segment in result.segments]


def class_rows(classes: Sequence[ClassProbability]) -> List[List[Any]]:
  """Returns a row of `CLASS_COLUMNS` for each class, in percent."""
  return [[entry.name, f'{100 * entry.probability:.2f} %', entry.id]
          for entry in classes]


def class_bars(classes: Sequence[ClassProbability]) -> str:
  """Returns the classes with bars as long as their probabilities, as HTML."""
  rows = [(html.escape(entry.name), f'{100 * entry.probability:.1f}')
          for entry in classes]
  return '<div class="bars">' + ''.join(
      f'<div><b>{name}</b><span>{percent}&nbsp;%</span>'
      f'<i style="width:{percent}%"></i></div>'
      for name, percent in rows) + '</div>'


def error(text: str) -> str:
  """Returns a line about what is wrong with a picture, as HTML."""
  return f'<div class="mistake">{html.escape(text)}</div>'


def note(text: str) -> str:
  """Returns a line about what was done, as HTML."""
  return f'<div class="note">{html.escape(text)}</div>'
