"""Random augmentation of an image with its panoptic label.

Every function is a pure function of its arguments: randomness comes from
`seed`, int32 or int64 [2], as in tf.random.stateless_uniform. Images are
uint8 or float32 [height, width, 3] in 0..255, labels int32 [height, width].

See `resizing` for how images and labels are resized; sizes are truncated to
integers.
"""

import dataclasses
from typing import Optional, Tuple

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.data.common import auto_augment, resizing
from axial_tf.panoptic import instance_maps


@dataclasses.dataclass(frozen=True)
class AugmentationSettings:
  """Augmentation of a training image, in this order.

  Attributes:
    scale_range: smallest and largest factor of the random scale.
    scale_step: step between factors; 0 means any factor in the range.
    crop_size: height and width of the random crop; smaller images are padded
      at a random place. k * output_stride + 1 wastes nothing.
    color_policy: None, or the name of an AutoAugment policy that changes
      colors only, in `auto_augment.COLOR_POLICIES`: 'panoptic_deeplab' or
      'simple'.
    brightness: largest shift, as a fraction of the full range; 0 is off.
    contrast: factor in 1 - contrast..1 + contrast; 0 is off.
    saturation: factor in 1 - saturation..1 + saturation; 0 is off.
    horizontal_flip: mirror half of the images. Not for letters or digits.
    vertical_flip: turn half of the images upside down, as a mirror would. For
      images without an up, as under a microscope or from above.
    quarter_turns: turn images by 0, 90, 180 or 270 degrees, each equally
      likely; crops must be square.

  The defaults are Panoptic-DeepLab's for COCO (paper notes, section 5), which
  Axial-DeepLab follows.
  """

  scale_range: Tuple[float, float] = (0.5, 2.0)
  scale_step: float = 0.1
  crop_size: Tuple[int, int] = (1025, 1025)
  color_policy: Optional[str] = None
  brightness: float = 0.0
  contrast: float = 0.0
  saturation: float = 0.0
  horizontal_flip: bool = True
  vertical_flip: bool = False
  quarter_turns: bool = False

  def __post_init__(self):
    settings_lib.check_types(self)
    low, high = self.scale_range
    settings_lib.require(
        0 < low <= high, self, 'scale_range', 'two factors, 0 < min <= max')
    settings_lib.require(self.scale_step >= 0, self, 'scale_step', '>= 0')
    settings_lib.require(
        1 <= min(self.crop_size)
        and max(self.crop_size) <= instance_maps.LARGEST_SIDE, self,
        'crop_size',
        f'height and width of 1 to {instance_maps.LARGEST_SIDE} pixels')
    settings_lib.require(
        not self.quarter_turns or len(set(self.crop_size)) == 1, self,
        'crop_size', 'equal height and width, which quarter_turns needs')
    known = (None, *auto_augment.COLOR_POLICIES)
    settings_lib.require(
        self.color_policy in known, self, 'color_policy',
        f'one of {", ".join(map(str, known))}')
    for field in ('brightness', 'contrast', 'saturation'):
      settings_lib.require(
          0 <= getattr(self, field) < 1, self, field, 'a number in 0..1')


def augment(image: tf.Tensor, panoptic: tf.Tensor, seed: tf.Tensor,
            settings: AugmentationSettings, void_label: int):
  """Scales, crops, jitters, flips, turns and pads an image and its label.

  Args:
    image: uint8 [height, width, 3].
    panoptic: int32 [height, width].
    seed: int [2].
    settings: settings of the augmentation.
    void_label: label of padding.

  Returns:
    image: uint8 [crop height, crop width, 3]; 0 where it is padded.
    panoptic: int32 [crop height, crop width].
    inside: int32 [4]: top, left, bottom, right of the part that is not padded.
  """
  seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 6))
  size = random_size(
      tf.shape(panoptic), seeds[0], settings.scale_range, settings.scale_step)
  # Cropping before padding gives the same windows as padding before cropping,
  # without building the padded image.
  image, panoptic = random_window(
      image, panoptic, seeds[1], size, settings.crop_size)
  # Rounds; interpolated values are within 0..255 and need no clipping.
  image = tf.cast(image + 0.5, tf.uint8)
  if settings.color_policy is not None:
    image = auto_augment.auto_augment(
        image, seeds[5], auto_augment.policy(settings.color_policy))
  if settings.brightness or settings.contrast or settings.saturation:
    image = resizing.to_uint8(jitter_color(
        tf.cast(image, tf.float32), seeds[2], settings.brightness,
        settings.contrast, settings.saturation))
  if settings.horizontal_flip:
    image, panoptic = random_flip(image, panoptic, seeds[4], axis=1)
  if settings.vertical_flip:
    image, panoptic = random_flip(
        image, panoptic, tf.random.experimental.stateless_fold_in(seed, 6),
        axis=0)
  if settings.quarter_turns:
    image, panoptic = random_turn(
        image, panoptic, tf.random.experimental.stateless_fold_in(seed, 7))
  size = tf.shape(panoptic)
  offset = tf.stack(_random_offset(seeds[3], settings.crop_size - size))
  image, panoptic = place(
      image, panoptic, offset, settings.crop_size, void_label)
  return image, panoptic, tf.concat([offset, offset + size], 0)


def random_size(size: tf.Tensor, seed: tf.Tensor,
                scale_range: Tuple[float, float], scale_step: float
                ) -> tf.Tensor:
  """Multiplies a size, int32 [2], by one of min, min + step, ..., max.

  Truncates to integers, but not below 1.
  """
  low, high = scale_range
  if scale_step > 0:
    # The small term keeps 2.0 in 0.5, 0.6, ..., 2.0 despite rounding.
    steps = int((high - low) / scale_step + 1e-6)
    step = tf.random.stateless_uniform(
        [], seed, 0, steps + 1, tf.int32)
    scale = low + scale_step * tf.cast(step, tf.float32)
  else:
    scale = tf.random.stateless_uniform([], seed, low, high)
  # A factor of 1.0 may come out as 0.99999994.
  scaled = tf.cast(size, tf.float32) * scale + 1e-3
  return tf.maximum(tf.cast(scaled, tf.int32), 1)


def random_window(image: tf.Tensor, panoptic: tf.Tensor, seed: tf.Tensor,
                  size: tf.Tensor, crop_size: Tuple[int, int]):
  """Cuts a window of at most `crop_size` out of the image resized to `size`.

  Each position is equally likely. Only what the window shows is resized: a
  rectangle of whole pixels, so that a window differs from one cut out
  afterwards by less than a pixel, and in scale by less than a pixel in its
  own size.

  Args:
    image: uint8 or float32 [height, width, 3].
    panoptic: int32 [height, width].
    seed: int [2].
    size: int32 [2], height and width of the whole resized image.
    crop_size: height and width.

  Returns:
    image: float32 [window height, window width, 3].
    panoptic: int32 [window height, window width].
  """
  whole = tf.shape(panoptic)
  window = tf.minimum(size, crop_size)
  shown = tf.cast(tf.round(tf.cast(window * whole, tf.float32)
                           / tf.cast(size, tf.float32)), tf.int32)
  shown = tf.maximum(shown, 1)
  top, left = _random_offset(seed, whole - shown)
  return resizing.resize(
      image[top:top + shown[0], left:left + shown[1]],
      panoptic[top:top + shown[0], left:left + shown[1]], window)


def random_flip(image: tf.Tensor, panoptic: tf.Tensor, seed: tf.Tensor,
                axis: int):
  """Reverses an axis, 0 for rows or 1 for columns, of half of the images."""
  return tf.cond(
      tf.random.stateless_uniform([], seed) < 0.5,
      lambda: (tf.reverse(image, [axis]), tf.reverse(panoptic, [axis])),
      lambda: (image, panoptic))


def random_turn(image: tf.Tensor, panoptic: tf.Tensor, seed: tf.Tensor):
  """Turns by 0 to 3 quarters, each equally likely; sides may swap."""
  quarters = tf.random.stateless_uniform([], seed, 0, 4, tf.int32)
  return (tf.image.rot90(image, quarters),
          tf.image.rot90(panoptic[..., tf.newaxis], quarters)[..., 0])


def place(image: tf.Tensor, panoptic: tf.Tensor, offset: tf.Tensor,
          size: Tuple[int, int], void_label: int):
  """Places an image at an offset, int32 [2], in a larger one.

  The result's shape is static. The rest is 0 in the image, void in the label.
  """
  room = size - tf.shape(panoptic)
  padding = tf.stack([offset, room - offset], axis=1)  # [2, (before, after)]
  image = tf.pad(image, tf.concat([padding, [[0, 0]]], axis=0))
  panoptic = tf.pad(panoptic, padding, constant_values=void_label)
  return tf.ensure_shape(image, [*size, 3]), tf.ensure_shape(panoptic, size)


def jitter_color(image: tf.Tensor, seed: tf.Tensor, brightness: float,
                 contrast: float, saturation: float) -> tf.Tensor:
  """Changes brightness, contrast and saturation at random, within 0..255.

  Each of the three is off at 0, see `AugmentationSettings`.
  """
  seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
  if brightness > 0:
    image += 255 * tf.random.stateless_uniform(
        [], seeds[0], -brightness, brightness)
  if contrast > 0:
    factor = tf.random.stateless_uniform(
        [], seeds[1], 1 - contrast, 1 + contrast)
    mean = tf.reduce_mean(image, axis=[0, 1])
    image = (image - mean) * factor + mean
  if saturation > 0:
    factor = tf.random.stateless_uniform(
        [], seeds[2], 1 - saturation, 1 + saturation)
    # Blending with the grey image: a quarter of the cost of going through HSV.
    grey = tf.image.rgb_to_grayscale(image)
    image = (image - grey) * factor + grey
  return tf.clip_by_value(image, 0.0, 255.0)


def _random_offset(seed: tf.Tensor, room: tf.Tensor):
  """Returns (y, x), each uniform in 0..room, both ends included."""
  # Integer draws take scalar bounds only, so one draw per axis.
  return [
      tf.random.stateless_uniform([], axis_seed, 0, limit + 1, tf.int32)
      for axis_seed, limit in zip(
          tf.unstack(tf.random.experimental.stateless_split(seed, 2)),
          tf.unstack(room, num=2))]
