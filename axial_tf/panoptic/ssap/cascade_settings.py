"""Settings of the cascaded graph partition, without TensorFlow."""

import dataclasses
from typing import Tuple

from axial_tf import settings as settings_lib
from axial_tf.panoptic.ssap import windows


@dataclasses.dataclass(frozen=True)
class CascadeSettings:
  """Settings of the decoding of SSAP.

  The paper's choices of all of these are unknown.

  Attributes:
    start_stride: stride of the first level that is partitioned.
    stop_stride: stride of the last one. At `start_stride` = `stop_stride` one
      flat graph is partitioned. Below it, pixels take the nearest segment.
    refine: whether class probabilities refine the affinities.
    stuff_area_limit: a class of stuff with fewer pixels in the whole image
      becomes void.
    min_instance_area: an instance with fewer pixels becomes void; 0 keeps all.
    max_instances: number of instances kept, those with the most pixels.
    in_graph: whether operations of TensorFlow partition the levels, rather than
      Python: slower, but possible in an export.
  """
  start_stride: int = windows.STRIDES[0]
  stop_stride: int = windows.STRIDES[-1]
  refine: bool = True
  stuff_area_limit: int = 2048
  min_instance_area: int = 0
  max_instances: int = 500
  in_graph: bool = False

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    known = f'one of {", ".join(map(str, windows.STRIDES))}'
    require(self.start_stride in windows.STRIDES, self, 'start_stride', known)
    require(self.stop_stride in windows.STRIDES, self, 'stop_stride', known)
    require(self.stop_stride <= self.start_stride, self, 'stop_stride',
            f'at most start_stride = {self.start_stride}')
    require(self.stuff_area_limit >= 0, self, 'stuff_area_limit', '>= 0')
    require(self.min_instance_area >= 0, self, 'min_instance_area', '>= 0')
    require(self.max_instances >= 1, self, 'max_instances', '>= 1')

  @property
  def strides(self) -> Tuple[int, ...]:
    """Strides of the levels that are partitioned, from coarse to fine."""
    return tuple(stride for stride in windows.STRIDES
                 if self.stop_stride <= stride <= self.start_stride)
