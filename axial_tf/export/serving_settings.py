"""Defines the settings of a served model: limits, handling of bad files."""

import dataclasses
from typing import Literal, Optional, Tuple

from axial_tf import settings as settings_lib


@dataclasses.dataclass(frozen=True)
class ServingSettings:
  """Settings that are fixed at export.

  Attributes:
    max_pixels: height times width of the largest image that is decoded.
    on_error: effect of one bad file in a batch: 'fail' makes the whole request
      fail with INVALID_ARGUMENT and the file's index in the batch; 'mark'
      returns the results of the others, and num_segments -1, or classes -1,
      for the bad one.
    top: number of classes that a classifier returns for each image.
    batch_sizes: sizes of the warm-up requests and of the batches that the
      server may form, ascending.
    compiled_size: height and width of the images of the signature `compiled`;
      None leaves it out.
  """

  max_pixels: int = 50_000_000
  on_error: Literal['fail', 'mark'] = 'fail'
  top: int = 5
  batch_sizes: Tuple[int, ...] = (1, 2, 4)
  compiled_size: Optional[Tuple[int, int]] = None

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(self.max_pixels >= 1, self, 'max_pixels', 'at least 1')
    settings_lib.require(self.top >= 1, self, 'top', 'at least 1')
    settings_lib.require(
        bool(self.batch_sizes) and self.batch_sizes[0] >= 1
        and list(self.batch_sizes) == sorted(set(self.batch_sizes)),
        self, 'batch_sizes', 'ascending numbers >= 1')
    settings_lib.require(
        self.compiled_size is None or min(self.compiled_size) >= 1, self,
        'compiled_size', 'None or height and width of at least 1 pixel')
