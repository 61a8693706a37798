"""Measures a panoptic data set: images, classes, instances."""

import collections
import dataclasses
from typing import List, Optional, Tuple

import numpy as np

from axial_tf.data.panoptic import records
from axial_tf.panoptic import label_runs
from axial_tf.planning import image_facts, record_folder, symmetry

# Images that are measured; the percentiles of more are the same.
SAMPLE = 500
# Shapes of each class that are compared with their mirrored selves.
_SHAPES = 300


@dataclasses.dataclass(frozen=True)
class ClassFacts:
  """One class: name, share of the labeled pixels, number of segments."""

  name: str
  is_thing: bool
  pixel_share: float
  segments: int
  diameters: Tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class InstanceFacts:
  """All instances of things, in pixels of the images.

  Attributes:
    count: their number in the sample.
    diameters: 10th, 25th, 50th and 90th percentile of the diameters of disks
      of their areas.
    extent: 95th percentile of the longer side of their boxes.
    small_area: 5th percentile of the areas.
    gap: 10th percentile of the distance of a center to the nearest other one;
      None if no image has two.
    in_image: median number in an image.
    most_in_image: largest number in an image.
  """

  count: int
  diameters: Tuple[float, float, float, float]
  extent: float
  small_area: float
  gap: Optional[float]
  in_image: int
  most_in_image: int

  @property
  def small(self) -> float:
    """Diameter that three quarters of the instances exceed."""
    return self.diameters[1]


@dataclasses.dataclass(frozen=True)
class PanopticFacts:
  """A panoptic data set.

  Attributes:
    num_train, num_validation: numbers of images.
    images: facts of the sampled images.
    classes: facts of the classes that occur.
    instances: facts of the instances; None without things.
    small_stuff: 5th percentile of the areas of stuff; None without stuff.
    crowds: number of crowds in the sample.
    void_share: share of pixels without label.
    shapes: symmetry of the shapes of things.
    scenes: symmetry of whole images.
  """

  num_train: int
  num_validation: int
  images: image_facts.ImageFacts
  classes: Tuple[ClassFacts, ...]
  instances: Optional[InstanceFacts]
  small_stuff: Optional[float]
  crowds: int
  void_share: float
  shapes: symmetry.Symmetry
  scenes: symmetry.Symmetry


def measure(folder: record_folder.RecordFolder) -> PanopticFacts:
  """Measures a sample of the training images.

  Raises:
    errors.UserError: a record cannot be read, or nothing can be learned from
      the images.
  """
  collector = _Collector(folder.spec)
  for example in record_folder.sample(
      folder, SAMPLE, records.decode_panoptic_example):
    collector.add(example['image'].numpy(), example['panoptic'].numpy())
  return collector.facts(folder)


class _Collector:
  """Adds up images and labels."""

  def __init__(self, spec):
    self._spec = spec
    self._images = image_facts.ImageCollector()
    self._pixels = collections.Counter()
    self._segments = collections.Counter()
    self._diameters = collections.defaultdict(list)
    self._shapes = collections.defaultdict(list)
    self._scenes: List[np.ndarray] = []
    self._stuff: List[int] = []
    self._areas: List[int] = []
    self._extents: List[int] = []
    self._gaps: List[float] = []
    self._numbers: List[int] = []
    self._crowds = 0

  def add(self, image: np.ndarray, panoptic: np.ndarray) -> None:
    luminance = self._images.add(image)
    self._scenes.append(symmetry.grid(symmetry.squeezed(luminance)))
    centers = []
    boxes = _boxes(panoptic)
    for label, area in label_runs.areas(panoptic).items():
      train_id, instance = divmod(label, self._spec.label_divisor)
      self._pixels[train_id] += area
      if train_id in self._spec.stuff_ids:
        self._segments[train_id] += 1
        self._stuff.append(area)
      elif train_id in self._spec.thing_ids and not instance:
        self._crowds += 1
      elif train_id in self._spec.thing_ids:
        self._segments[train_id] += 1
        centers.append(self._add_instance(
            panoptic, train_id, label, area, boxes[label]))
    self._numbers.append(len(centers))
    self._gaps += _gaps(centers)

  def _add_instance(self, panoptic, train_id, label, area, box):
    """Adds an instance; returns the middle of its box, (y, x)."""
    top, left, bottom, right = box
    self._areas.append(area)
    self._diameters[train_id].append(_diameter(area))
    self._extents.append(max(bottom - top, right - left))
    if len(self._shapes[train_id]) < _SHAPES:
      self._shapes[train_id].append(
          symmetry.grid(panoptic[top:bottom, left:right] == label))
    return (top + bottom) / 2, (left + right) / 2

  def facts(self, folder: record_folder.RecordFolder) -> PanopticFacts:
    images = self._images.facts()
    image_facts.require_detail(images, folder.path)
    labeled = sum(self._pixels[c.train_id] for c in self._spec.categories)
    total = max(sum(self._pixels.values()), 1)
    return PanopticFacts(
        num_train=folder.num_train, num_validation=folder.num_validation,
        images=images, instances=self._instances(),
        classes=tuple(
            ClassFacts(
                c.name, c.is_thing, self._pixels[c.train_id] / max(labeled, 1),
                self._segments[c.train_id],
                _percentiles(self._diameters[c.train_id], 10, 50, 90))
            for c in self._spec.categories if self._pixels[c.train_id]),
        small_stuff=(
            _percentiles(self._stuff, 5)[0] if self._stuff else None),
        crowds=self._crowds, void_share=1 - labeled / total,
        shapes=symmetry.of_kinds(list(self._shapes.values())),
        scenes=symmetry.of_kinds([self._scenes]))

  def _instances(self) -> Optional[InstanceFacts]:
    if not self._areas:
      return None
    return InstanceFacts(
        count=len(self._areas),
        diameters=_percentiles(_diameter(np.array(self._areas)),
                               10, 25, 50, 90),
        extent=_percentiles(self._extents, 95)[0],
        small_area=_percentiles(self._areas, 5)[0],
        gap=_percentiles(self._gaps, 10)[0] if self._gaps else None,
        in_image=int(np.median(self._numbers)),
        most_in_image=max(self._numbers))


def _diameter(area):
  return 2 * np.sqrt(area / np.pi)


def _percentiles(values, *which: int) -> Tuple[float, ...]:
  return tuple(np.percentile(values, which).tolist()) if len(values) else ()


def _boxes(panoptic: np.ndarray):
  """Returns the box (top, left, bottom, right) of each label of a map."""
  starts, lengths = label_runs.find(panoptic, _rows(panoptic.shape))
  values = panoptic.reshape(-1)[starts]
  top, left = np.divmod(starts, panoptic.shape[1])
  right = left + lengths
  labels, index = np.unique(values, return_inverse=True)
  boxes = np.empty([len(labels), 4], int)
  boxes[:, :2], boxes[:, 2:] = panoptic.size, 0
  for column, (at, edge) in enumerate((
      (np.minimum, top), (np.minimum, left), (np.maximum, top + 1),
      (np.maximum, right))):
    at.at(boxes[:, column], index, edge)
  return dict(zip(labels.tolist(), boxes.tolist()))


def _rows(shape) -> np.ndarray:
  return np.repeat(np.arange(shape[0]), shape[1])


def _gaps(centers) -> List[float]:
  """Returns the distance of each center to the nearest other one."""
  if len(centers) < 2:
    return []
  points = np.array(centers)
  squares = ((points[:, None] - points) ** 2).sum(-1)
  np.fill_diagonal(squares, np.inf)
  return np.sqrt(squares.min(1)).tolist()
