"""Settings of the decoding, without TensorFlow."""

import dataclasses
import math

from axial_tf import settings as settings_lib
from axial_tf.panoptic import merging_settings


@dataclasses.dataclass(frozen=True)
class DeeperLabDecodingSettings:
  """Settings of finding instances by keypoints; distances in pixels.

  The paper's numbers are not known except the radius and that stuff of any area
  is kept. The others are PersonLab's where it has one, or ours.

  Attributes:
    radius: radius of the disks around keypoints, as in training.
    long_by_long: steps by which long offsets are refined by themselves.
      PersonLab has 2. Here it has 0 (ours): a corner of a box often lies on
      another instance, where the long offset is that one's.
    long_by_short: steps by which short offsets then refine them (PersonLab).
    middle_by_short: steps by which short offsets refine the offsets along
      edges (PersonLab).
    long_vote_weight: weight of the votes by long offsets beside those by short
      ones (ours).
    rescoring: whether keypoints are scored by Expected-OKS, with half the
      radius as scale (ours), instead of by their votes.
    keypoint_threshold: score that a keypoint must exceed (ours).
    max_keypoints: number of keypoints from which instances may start, those
      with the highest scores (ours).
    keypoint_distance: a keypoint this near to that of its kind of an instance
      starts no other one (10 in code for PersonLab).
    max_box_overlap: IoU that the boxes of two instances may have (ours).
    max_instances: number of instances kept (ours).
    stuff_area_limit: a class of stuff with fewer pixels in the whole image
      becomes void; the paper keeps all.
    one_instance_without_keypoints: where no instance is found, make all pixels
      of things one instance instead of void.
  """
  radius: float = 25.0
  long_by_long: int = 0
  long_by_short: int = 2
  middle_by_short: int = 2
  long_vote_weight: float = 1.0
  rescoring: bool = True
  keypoint_threshold: float = 0.05
  max_keypoints: int = 1000
  keypoint_distance: float = 10.0
  max_box_overlap: float = 0.5
  max_instances: int = 200
  stuff_area_limit: int = 0
  one_instance_without_keypoints: bool = False

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    require(0.0 < self.radius < math.inf, self, 'radius', 'a number above 0')
    for name in ('long_by_long', 'long_by_short', 'middle_by_short'):
      require(0 <= getattr(self, name) <= 10, self, name, 'an int in 0..10')
    for name in ('long_vote_weight', 'keypoint_threshold',
                 'keypoint_distance'):
      require(0.0 <= getattr(self, name) < math.inf, self, name,
              'a finite number >= 0')
    for name in ('max_keypoints', 'max_instances'):
      require(getattr(self, name) >= 1, self, name, '>= 1')
    require(self.max_instances <= self.max_keypoints, self, 'max_instances',
            f'at most max_keypoints, {self.max_keypoints}, as each instance '
            f'starts from a keypoint')
    require(0.0 <= self.max_box_overlap <= 1.0, self, 'max_box_overlap',
            'an IoU in 0..1')
    require(self.stuff_area_limit >= 0, self, 'stuff_area_limit', '>= 0')

  @property
  def merging(self) -> merging_settings.MergingSettings:
    """The rules by which instances and classes become a panoptic map."""
    return merging_settings.MergingSettings(
        max_centers=self.max_instances,
        stuff_area_limit=self.stuff_area_limit,
        one_instance_without_centers=self.one_instance_without_keypoints)
