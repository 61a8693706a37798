"""Collects what images of any task show: sizes, colors, brightness."""

import dataclasses

import numpy as np

from axial_tf import errors

# Largest mean difference of two channels, in 0..255, of a grey image (JPEG
# makes small ones).
_GREY = 1.5
_LUMINANCE = np.float32([0.299, 0.587, 0.114])


@dataclasses.dataclass(frozen=True)
class ImageFacts:
  """Facts of the sampled images.

  Attributes:
    count: number of images.
    height, width: their medians, in pixels.
    long_side: largest side of all.
    same_size: whether all have one size.
    grey_share: share of images without color.
    brightness_spread: standard deviation between images of their mean
      brightness, as a share of the full range.
    contrast_spread: standard deviation of the contrasts (standard deviations
      of the pixels of an image) as a share of their mean.
    detail: mean standard deviation of the pixels of an image, as a share of the
      full range.
  """

  count: int
  height: int
  width: int
  long_side: int
  same_size: bool
  grey_share: float
  brightness_spread: float
  contrast_spread: float
  detail: float


class ImageCollector:
  """Adds up images; holds a few numbers of each."""

  def __init__(self):
    self._rows = []

  def add(self, image: np.ndarray) -> np.ndarray:
    """Adds an image uint8 [height, width, 3]; returns its luminance in 0..1."""
    pixels = image.astype(np.float32)
    luminance = pixels @ _LUMINANCE / 255
    grey = max(np.abs(pixels[..., 0] - pixels[..., c]).mean() for c in (1, 2))
    self._rows.append((*image.shape[:2], grey < _GREY, luminance.mean(),
                       luminance.std()))
    return luminance

  def facts(self) -> ImageFacts:
    """Returns the facts of all images, of which there must be some."""
    heights, widths, grey, brightness, contrast = np.array(self._rows).T
    return ImageFacts(
        count=len(self._rows), height=_median(heights), width=_median(widths),
        long_side=int(max(heights.max(), widths.max())),
        same_size=bool(np.ptp(heights) == np.ptp(widths) == 0),
        grey_share=float(grey.mean()),
        brightness_spread=float(brightness.std()),
        contrast_spread=float(contrast.std() / max(contrast.mean(), 1e-6)),
        detail=float(contrast.mean()))


def _median(values: np.ndarray) -> int:
  return int(np.median(values))


def require_detail(images: ImageFacts, path: str) -> None:
  """Raises a UserError if all images of a folder have one color only."""
  if images.detail < 1e-6 and images.brightness_spread < 1e-6:
    raise errors.UserError(
        f'{path}: expected images with content, but the {images.count} '
        f'training images that were looked at have one and the same color; '
        f'convert the right files')
