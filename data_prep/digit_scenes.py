"""Composes pictures of digits on photographs, with their segments."""

import dataclasses
from typing import Dict, List

import numpy as np
from PIL import Image, ImageFilter

NUM_DIGITS = 10
_SIDE = (96, 161)  # pixels of an image's side: from, below
_DIGIT_SIDE = (44, 57)
_HEAP_SIDE = (24, 31)
_PIXELS_PER_DIGIT = 4500
_INK = 0.4  # darkness from which a pixel of a scan belongs to the digit
_OUTLINE = 2  # pixels
_VISIBLE = 0.8  # of each digit's pixels, at least


@dataclasses.dataclass(frozen=True)
class Source:
  """The scans and photos that images are composed of.

  Attributes:
    scans: float32 [count, 8, 8] for each digit; 0 is paper, 1 is ink.
    photos: uint8 [height, width, 3]; each one is a stuff class.
  """

  scans: Dict[int, np.ndarray]
  photos: List[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Segment:
  """A digit, a heap of equal digits (crowd) or stuff.

  `train_id` is the digit, or 10 + the number of the photo; `full_area` the
  area in pixels without occlusion.
  """

  train_id: int
  is_crowd: bool
  full_area: int


@dataclasses.dataclass
class Scene:
  """An image, and the index of the segment at each pixel.

  Attributes:
    image: float32 [height, width, 3], 0..255.
    index: int32 [height, width] into `segments`; -1 is void.
    segments: segments in drawing order; later ones are on top.
  """

  image: np.ndarray
  index: np.ndarray
  segments: List[Segment]


def draw_scene(rng: np.random.Generator, source: Source) -> Scene:
  """Draws stuff, sometimes a void patch or a heap, and some digits."""
  height, width = rng.integers(*_SIDE, size=2)
  scene = _background(rng, source, height, width)
  if rng.random() < 0.3:
    _unlabeled_patch(rng, scene)
  if rng.random() < 0.15:
    _add_heap(rng, scene, source)
  wanted = np.clip(round(height * width / _PIXELS_PER_DIGIT), 2, 5)
  for _ in range(rng.integers(wanted - 1, wanted + 1)):
    _add_digit(rng, scene, source)
  return scene


def _background(rng, source: Source, height: int, width: int) -> Scene:
  """Returns two photos, separated by a wavy line of random direction."""
  first, second = (
      _photo_part(rng, photo, height, width) for photo in source.photos)
  y, x = np.mgrid[:height, :width]
  angle = rng.uniform(0, 2 * np.pi)
  along = x * np.cos(angle) + y * np.sin(angle)
  across = y * np.cos(angle) - x * np.sin(angle)
  curve = sum(
      rng.uniform(2, 8) * np.sin(along / rng.uniform(8, 30) + rng.uniform(0, 6))
      for _ in range(2))
  is_first = across < curve + np.quantile(across, rng.uniform(0.25, 0.75))
  area = int(is_first.sum())
  return Scene(
      np.where(is_first[..., None], first, second).astype(np.float32),
      np.where(is_first, 0, 1).astype(np.int32),
      [Segment(NUM_DIGITS, False, area),
       Segment(NUM_DIGITS + 1, False, height * width - area)])


def _photo_part(rng, photo, height: int, width: int) -> np.ndarray:
  """Returns a random crop, shrunk by up to a factor of 2, maybe mirrored."""
  largest = min(photo.shape[0] / height, photo.shape[1] / width, 2.0)
  scale = rng.uniform(min(0.75, largest), largest)
  box_height, box_width = int(height * scale), int(width * scale)
  top = rng.integers(0, photo.shape[0] - box_height + 1)
  left = rng.integers(0, photo.shape[1] - box_width + 1)
  part = photo[top:top + box_height, left:left + box_width]
  if rng.random() < 0.5:
    part = part[:, ::-1]
  return np.asarray(Image.fromarray(part).resize(
      (int(width), int(height)), Image.Resampling.BILINEAR))


def _unlabeled_patch(rng, scene: Scene) -> None:
  """Turns an ellipse into grey blur that belongs to no class."""
  height, width = scene.index.shape
  y, x = np.mgrid[:height, :width]
  center_y, center_x = rng.uniform(0, height), rng.uniform(0, width)
  radius_y, radius_x = rng.uniform(10, 24, size=2)
  inside = (((y - center_y) / radius_y)**2
            + ((x - center_x) / radius_x)**2) < 1
  blurred = np.asarray(Image.fromarray(scene.image.astype(np.uint8)).filter(
      ImageFilter.GaussianBlur(6)), np.float32)
  scene.image[inside] = 0.3 * blurred[inside] + 0.7 * 128
  scene.index[inside] = -1


def _add_heap(rng, scene: Scene, source: Source) -> None:
  """Draws small equal digits over one another, as a single crowd segment."""
  digit = int(rng.integers(NUM_DIGITS))
  height, width = scene.index.shape
  center = rng.uniform([24, 24], [height - 24, width - 24])
  number = len(scene.segments)
  for _ in range(rng.integers(4, 7)):
    glyph, body = _glyph(rng, source, digit, _HEAP_SIDE)
    corner = center + rng.uniform(-16, 16, 2) - np.array(body.shape) / 2
    top, left = np.clip(
        corner.astype(int), 0, np.array(scene.index.shape) - body.shape)
    _paint(scene, glyph, body, top, left, number)
  area = int(np.sum(scene.index == number))
  scene.segments.append(Segment(digit, True, area))


def _add_digit(rng, scene: Scene, source: Source) -> None:
  """Draws a digit where those below stay visible, if there is such a place.

  Only digits and heaps need to stay visible, not stuff.
  """
  digit = int(rng.integers(NUM_DIGITS))
  glyph, body = _glyph(rng, source, digit, _DIGIT_SIDE)
  for _ in range(20):
    top, left = rng.integers(0, np.array(scene.index.shape) - body.shape + 1)
    index = scene.index.copy()
    index[top:top + body.shape[0], left:left + body.shape[1]][body] = -1
    seen = np.bincount(index[index >= 0], minlength=len(scene.segments))
    if all(area >= _VISIBLE * segment.full_area
           for area, segment in zip(seen, scene.segments)
           if segment.train_id < NUM_DIGITS):
      _paint(scene, glyph, body, top, left, len(scene.segments))
      scene.segments.append(Segment(digit, False, int(body.sum())))
      return


def _glyph(rng, source: Source, digit: int, sides):
  """Returns a scan as light strokes with a dark outline, and its mask.

  Returns:
    float32 [height, width, 3] colors and bool [height, width].
  """
  scans = source.scans[digit]
  side = int(rng.integers(*sides))
  ink = np.asarray(Image.fromarray(scans[rng.integers(len(scans))]).resize(
      (int(side * rng.uniform(0.85, 1.0)), side), Image.Resampling.BICUBIC))
  ink = np.pad(ink, _OUTLINE)
  strokes = Image.fromarray((ink > _INK).astype(np.uint8) * 255)
  body = np.asarray(strokes.filter(
      ImageFilter.MaxFilter(2 * _OUTLINE + 1))) > 0
  rows, columns = np.flatnonzero(body.any(1)), np.flatnonzero(body.any(0))
  box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
  light = rng.uniform(215, 255) + rng.uniform(-15, 0, 3)  # faintly tinted
  dark = rng.uniform(0, 25, 3)
  mix = np.clip((ink[box] - _INK) / 0.2, 0, 1)[..., None]
  return (dark + mix * (light - dark)).astype(np.float32), body[box]


def _paint(scene: Scene, glyph, body, top: int, left: int, number: int) -> None:
  window = (slice(top, top + body.shape[0]), slice(left, left + body.shape[1]))
  scene.image[window][body] = glyph[body]
  scene.index[window][body] = number
