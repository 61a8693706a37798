"""Collects statistics of panoptic records, and finds problems."""

import array
import collections
import dataclasses
from typing import Any, Dict, List, Optional

import numpy as np

from axial_tf import visualize
from axial_tf.data.panoptic import records
from axial_tf.panoptic import label_runs
from axial_tf.specs import dataset_spec
from data_prep.inspection import ranges, record_scan
from data_prep.readers import splits

_SHOWN_LABELS = 10
_KINDS = ('pixels', 'images', 'segments', 'crowds')


@dataclasses.dataclass(frozen=True)
class Measured:
  """The statistics of one record: size and pixels of each panoptic label.

  `areas` is None for a record without label.
  """

  height: int
  width: int
  areas: Optional[Dict[int, int]]


class PanopticStatistics:
  """Sums over records; memory grows with the number of instances only."""

  def __init__(self, spec: dataset_spec.DatasetSpec):
    self._spec = spec
    self._decode = record_scan.decoder(records.decode_panoptic_example)
    self._sizes = collections.Counter()
    self._unlabeled = 0
    self._counts = {kind: collections.Counter() for kind in _KINDS}
    self._instance_areas = {
        i: array.array('q') for i in spec.thing_ids}
    # Labels that the spec does not have.
    self._unknown = {'pixels': collections.Counter(),
                     'images': collections.Counter()}

  def measure(self, serialized: bytes) -> Measured:
    """Decodes and measures one record; thread-safe.

    Raises:
      tf.errors.OpError: the record cannot be decoded.
    """
    panoptic = self._decode(serialized)['panoptic'].numpy()
    areas = label_runs.areas(panoptic)
    if set(areas) == {records.UNLABELED}:
      areas = None
    return Measured(*panoptic.shape, areas)

  def add(self, measured: Measured) -> None:
    """Adds the result of `measure` for one record."""
    self._sizes[measured.height, measured.width] += 1
    if measured.areas is None:
      self._unlabeled += 1
      return
    unknown = {label: size for label, size in measured.areas.items()
               if not self._is_known(label)}
    self._unknown['pixels'].update(unknown)
    self._unknown['images'].update(unknown.keys())
    known = {label: size for label, size in measured.areas.items()
             if label not in unknown}
    for kind, by_class in splits.area_counts(known, self._spec).items():
      self._counts[kind].update(by_class)
    for label, size in known.items():
      train_id, instance = divmod(label, self._spec.label_divisor)
      if instance and train_id in self._instance_areas:
        self._instance_areas[train_id].append(size)

  def _is_known(self, label: int) -> bool:
    train_id, instance = divmod(label, self._spec.label_divisor)
    return train_id in self._spec.thing_ids or (
        train_id in self._spec.stuff_ids and instance == 0
    ) or train_id == self._spec.ignore_label

  def problems(self) -> List[str]:
    """Returns the reasons why the records are not fit for training."""
    found = []
    if self._unlabeled:
      found.append(f'records without label: {self._unlabeled}')
    if self._unknown['pixels']:
      label = min(self._unknown['pixels'])
      found.append(
          f'labels that the spec does not have: '
          f'{len(self._unknown["pixels"])}, the first is {label} (train id '
          f'{label // self._spec.label_divisor}, instance '
          f'{label % self._spec.label_divisor}), in '
          f'{self._unknown["images"][label]} records')
    return found

  def draw(self, serialized: bytes) -> np.ndarray:
    """Returns a picture of a record: the image, its labels and a legend.

    Pixels with a label that the spec does not have are not colored.
    """
    example = self._decode(serialized)
    image, panoptic = example['image'].numpy(), example['panoptic'].numpy()
    for label in label_runs.areas(panoptic):
      if (not self._is_known(label)
          or label // self._spec.label_divisor == self._spec.ignore_label):
        panoptic = np.where(panoptic == label, self._spec.void_label, panoptic)
    pair = visualize.side_by_side([image, visualize.panoptic_overlay(
        image, panoptic, self._spec, labels=True)])
    legend = visualize.legend(panoptic, self._spec, pair.shape[1])
    return visualize.stack([pair, legend])

  def to_json(self) -> Dict[str, Any]:
    """Returns all statistics, as plain JSON types."""
    pixels = self._counts['pixels']
    labeled = sum(pixels.values()) + sum(self._unknown['pixels'].values())
    return {
        'image_sizes': ranges.of_sizes(self._sizes),
        'unlabeled_records': self._unlabeled,
        'void_share': pixels[self._spec.ignore_label] / max(labeled, 1),
        'unknown_labels': [
            {'label': label, 'pixels': size,
             'images': self._unknown['images'][label]}
            for label, size in sorted(self._unknown['pixels'].items())],
        'classes': [
            {'name': c.name, 'train_id': c.train_id, 'is_thing': c.is_thing,
             **{kind: self._counts[kind][c.train_id] for kind in _KINDS},
             'pixel_share': pixels[c.train_id] / max(labeled, 1),
             'instance_pixels': ranges.of_values(
                 self._instance_areas.get(c.train_id, ()))}
            for c in self._spec.categories],
    }

  def table(self) -> str:
    """Returns the statistics as text."""
    content = self.to_json()
    lines = [*ranges.size_lines(content['image_sizes']),
             f'void: {100 * content["void_share"]:.2f} % of the pixels']
    for entry in content['unknown_labels'][:_SHOWN_LABELS]:
      lines.append(f'label {entry["label"]} is not in the spec: '
                   f'{entry["pixels"]} pixels in {entry["images"]} records')
    present = [c for c in content['classes'] if c['pixels']]
    absent = len(content['classes']) - len(present)
    if absent:
      lines.append(f'{absent} of {len(content["classes"])} classes of the spec '
                   f'do not occur')
    width = max((len(c['name']) for c in present), default=0)
    lines.append(f'{"":{width}}       images  segments  crowds  % pixels'
                 f'  pixels of an instance')
    for c in present:
      lines.append(
          f'{c["name"]:{width}}  {"thing" if c["is_thing"] else "stuff"}'
          f'{c["images"]:8d}{c["segments"]:10d}{c["crowds"]:8d}'
          f'{100 * c["pixel_share"]:10.3f}  '
          f'{ranges.text(c["instance_pixels"])}')
    return '\n'.join(line.rstrip() for line in lines)
