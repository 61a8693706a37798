"""Settings of the merging, without TensorFlow, as the specs hold them."""

import dataclasses
from typing import Any, ClassVar, Literal, Mapping

from axial_tf import settings as settings_lib


@dataclasses.dataclass(frozen=True)
class MergingSettings:
  """Settings of merging heads; defaults as on Cityscapes in the paper.

  `suppression` and all fields after it are not the paper's.

  Attributes:
    center_threshold: heatmap value that a center must exceed.
    nms_kernel: side of the square window, odd, in which a center is maximal.
    max_centers: number of centers kept, those with the highest values.
    stuff_area_limit: a class of stuff with fewer pixels in the whole image
      becomes void.
    void_stuff_at_limit: whether an area equal to the limit becomes void, too
      (DeepLab2's compiled op; its Python path keeps it, as does the paper).
    drop_last_center: where more than `max_centers` are found, keep only those
      strictly above the value of the last one (both published codes).
    one_instance_without_centers: where no center is found, make all pixels of
      things one instance (DeepLab2's compiled op) instead of void.
    suppression: 'window' keeps a peak that is maximal in its window; 'border'
      also drops those that lie closer to a higher peak than the nearest pixel
      of another class does (of the 2 * max_centers highest peaks, before
      max_centers are kept).
    min_instance_area: an instance with fewer pixels becomes void; 0 keeps all.
    min_agreement: an instance becomes void if a smaller share of its pixels
      points to within half its radius (that of a disk of its area) of its
      center; 0 keeps all.
    RETIRED: fields of earlier versions, which files of runs may have.
  """
  center_threshold: float = 0.1
  nms_kernel: int = 7
  max_centers: int = 200
  stuff_area_limit: int = 2048
  void_stuff_at_limit: bool = False
  drop_last_center: bool = False
  one_instance_without_centers: bool = False
  suppression: Literal['window', 'border'] = 'window'
  min_instance_area: int = 0
  min_agreement: float = 0.0

  RETIRED: ClassVar[Mapping[str, Any]] = {
      'center_votes': 0.0, 'subpixel_peaks': False}

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        self.center_threshold >= 0.0, self, 'center_threshold', '>= 0')
    settings_lib.require(
        self.nms_kernel >= 1 and self.nms_kernel % 2 == 1, self, 'nms_kernel',
        'an odd number >= 1')
    settings_lib.require(self.max_centers >= 1, self, 'max_centers', '>= 1')
    settings_lib.require(
        self.stuff_area_limit >= 0, self, 'stuff_area_limit', '>= 0')
    settings_lib.require(
        self.min_instance_area >= 0, self, 'min_instance_area', '>= 0')
    settings_lib.require(
        0.0 <= self.min_agreement <= 1.0, self, 'min_agreement',
        'a share in 0..1')

  @property
  def checks_instances(self) -> bool:
    """Whether instances are checked once their pixels are known."""
    return self.min_instance_area > 0 or self.min_agreement > 0.0
