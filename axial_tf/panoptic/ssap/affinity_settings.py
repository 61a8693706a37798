"""Settings of the losses of SSAP."""

import dataclasses
from typing import Tuple

from axial_tf import settings as settings_lib
from axial_tf.panoptic.ssap import windows


@dataclasses.dataclass(frozen=True)
class AffinityLossSettings:
  """Weights of the losses, and which affinities count.

  Attributes:
    semantic_weight: factor of the cross entropy at stride 4.
    coarse_semantic_weight: factor of the cross entropy at each coarser level.
      The levels are sourced, that their weights are equal is not.
    affinity_weight: factor of the squared errors of affinities of all levels
      (the paper's is unknown).
    level_weights: factors of the affinities of each level, from stride 64 to
      stride 4 (numbers and direction unconfirmed).
    semantic_top_k: fraction of all pixels of an image, those with the largest
      cross entropy, that the loss at stride 4 averages (ours).
    easy_drop_rate: share of the pixels whose affinities are all 1 that are left
      out at random, since these are most of an image (unconfirmed).
    object_weight: factor of the affinities of pixels of things; the mean is not
      divided by it (unconfirmed).
  """
  semantic_weight: float = 1.0
  coarse_semantic_weight: float = 1.0
  affinity_weight: float = 1.0
  level_weights: Tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01)
  semantic_top_k: float = 0.2
  easy_drop_rate: float = 0.8
  object_weight: float = 3.0

  def __post_init__(self):
    settings_lib.check_types(self)
    require = settings_lib.require
    for name in ('semantic_weight', 'coarse_semantic_weight',
                 'affinity_weight', 'object_weight'):
      require(0.0 <= getattr(self, name) < float('inf'), self, name,
              'a finite number >= 0')
    count = len(windows.STRIDES)
    require(len(self.level_weights) == count
            and all(0.0 <= w < float('inf') for w in self.level_weights), self,
            'level_weights', f'{count} finite numbers >= 0, one for each of '
            f'the strides {", ".join(map(str, windows.STRIDES))}')
    require(0.0 < self.semantic_top_k <= 1.0, self, 'semantic_top_k',
            'a fraction above 0 and up to 1')
    require(0.0 <= self.easy_drop_rate < 1.0, self, 'easy_drop_rate',
            'a share in 0 <= x < 1')
