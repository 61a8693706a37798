"""Collects statistics of classification records, and finds problems."""

import collections
import dataclasses
from typing import Any, Dict, List

import numpy as np
import tensorflow as tf

from axial_tf.data.classification import records as classification_records
from axial_tf.files import image_decoding
from axial_tf.specs import class_spec
from data_prep.inspection import ranges, record_scan

_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Measured:
  """The statistics of one record: its size and its label."""

  height: int
  width: int
  label: int


class ClassStatistics:
  """Sums over records."""

  def __init__(self, spec: class_spec.ClassSpec):
    self._spec = spec
    self._decode = record_scan.decoder(_decode)
    self._sizes = collections.Counter()
    self._images = collections.Counter()

  def measure(self, serialized: bytes) -> Measured:
    """Decodes and measures one record; thread-safe.

    Raises:
      tf.errors.OpError: the record cannot be decoded.
    """
    image, label = self._decode(serialized)
    return Measured(int(image.shape[0]), int(image.shape[1]), int(label))

  def add(self, measured: Measured) -> None:
    """Adds the result of `measure` for one record."""
    self._sizes[measured.height, measured.width] += 1
    self._images[measured.label] += 1

  def problems(self) -> List[str]:
    """Returns the reasons why the records are not fit for training."""
    found = []
    unlabeled = self._images[classification_records.UNLABELED]
    if unlabeled:
      found.append(f'records without label: {unlabeled}')
    unknown = self._unknown()
    if unknown:
      found.append(
          f'labels that the spec does not have: {len(unknown)}, the first is '
          f'{min(unknown)}, in {unknown[min(unknown)]} records')
    return found

  def draw(self, serialized: bytes) -> np.ndarray:
    """Returns the image of a record."""
    return self._decode(serialized)[0].numpy()

  def to_json(self) -> Dict[str, Any]:
    """Returns all statistics, as plain JSON types."""
    return {
        'image_sizes': ranges.of_sizes(self._sizes),
        'unlabeled_records': self._images[classification_records.UNLABELED],
        'unknown_labels': [
            {'label': label, 'images': images}
            for label, images in sorted(self._unknown().items())],
        'classes': [
            {'name': c.name, 'id': c.id, 'label': c.label,
             'images': self._images[c.label]} for c in self._spec.classes],
    }

  def table(self) -> str:
    """Returns the statistics as text, with at most 20 classes."""
    content = self.to_json()
    lines = ranges.size_lines(content['image_sizes'])
    images = [c['images'] for c in content['classes']]
    lines.append(f'{len(images)} classes, {images.count(0)} of them without '
                 f'images; images of a class: '
                 f'{ranges.text(ranges.of_values(images))}')
    by_images = sorted(content['classes'], key=lambda c: -c['images'])
    if len(by_images) > _SHOWN:
      lines.append(f'the {_SHOWN} smallest (all of them: --json):')
      by_images = by_images[-_SHOWN:]
    lines += [f'{c["images"]:8d}  {c["name"]}' for c in by_images]
    return '\n'.join(lines)

  def _unknown(self) -> Dict[int, int]:
    return {label: images for label, images in self._images.items()
            if label != classification_records.UNLABELED
            and not 0 <= label < self._spec.num_classes}


def _decode(serialized: tf.Tensor):
  example = classification_records.parse_classification_example(serialized)
  image = image_decoding.decode(example['encoded'])
  return image, example['label']
