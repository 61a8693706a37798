"""Random augmentation of images for classification.

Every function is a pure function of its arguments: randomness comes from
`seed`, int [2], as in tf.random.stateless_uniform. Images are uint8 or float32
[height, width, 3] in 0..255.
"""

import dataclasses
from typing import Literal, Optional, Tuple

import tensorflow as tf

from axial_tf import settings as settings_lib
from axial_tf.data.common import auto_augment, resizing
from axial_tf.files import image_decoding

RAND_AUGMENT = 'rand_augment'
_GREY = 128


@dataclasses.dataclass(frozen=True)
class ClassificationAugmentationSettings:
  """Augmentation of a training image, in this order, and of its label.

  Attributes:
    crop: 'random_resized' cuts out a window of random area and shape and
      resizes it; 'pad' shifts the image by up to `padding` pixels, as is
      usual for images of 32 pixels; 'none' only resizes.
    area_range: range of a random window's share of the image's area.
    ratio_range: range of a random window's width / height.
    padding: pixels of grey on each side, for 'pad'.
    horizontal_flip: mirror half of the images. Not for letters or digits.
    vertical_flip: turn half of the images upside down, as a mirror would.
    policy: None, 'rand_augment', or the name of an AutoAugment policy in
      `auto_augment.POLICIES`.
    rand_layers: operations per image of 'rand_augment'.
    rand_magnitude: their strength, 0..10.
    cutout: side in pixels of a grey square around a random pixel (DeVries and
      Taylor, 2017); 0 is off.
    mixup_alpha: each image is blended with another one of the batch by a
      factor from Beta(alpha, alpha) (Zhang et al., 2018); 0 is off.
    label_smoothing: share of the target that is spread evenly over all classes.
  """

  crop: Literal['random_resized', 'pad', 'none'] = 'random_resized'
  area_range: Tuple[float, float] = (0.08, 1.0)
  ratio_range: Tuple[float, float] = (3 / 4, 4 / 3)
  padding: int = 4
  horizontal_flip: bool = True
  vertical_flip: bool = False
  policy: Optional[str] = None
  rand_layers: int = 2
  rand_magnitude: float = 10.0
  cutout: int = 0
  mixup_alpha: float = 0.0
  label_smoothing: float = 0.0

  def __post_init__(self):
    settings_lib.check_types(self)
    low, high = self.area_range
    settings_lib.require(
        0 < low <= high <= 1, self, 'area_range',
        'two shares, 0 < min <= max <= 1')
    low, high = self.ratio_range
    settings_lib.require(
        0 < low <= high, self, 'ratio_range', 'two ratios, 0 < min <= max')
    settings_lib.require(self.padding >= 0, self, 'padding', '>= 0 pixels')
    known = (None, RAND_AUGMENT, *auto_augment.POLICIES)
    settings_lib.require(
        self.policy in known, self, 'policy',
        f'one of {", ".join(map(str, known))}')
    settings_lib.require(self.rand_layers >= 1, self, 'rand_layers', '>= 1')
    settings_lib.require(
        0 <= self.rand_magnitude <= 10, self, 'rand_magnitude',
        'a number in 0..10')
    settings_lib.require(self.cutout >= 0, self, 'cutout', '>= 0 pixels')
    settings_lib.require(self.mixup_alpha >= 0, self, 'mixup_alpha', '>= 0')
    settings_lib.require(
        0 <= self.label_smoothing < 1, self, 'label_smoothing',
        'a number in 0..1')


def augment(encoded: tf.Tensor, seed: tf.Tensor, image_size: Tuple[int, int],
            settings: ClassificationAugmentationSettings) -> tf.Tensor:
  """Decodes and augments an image.

  Args:
    encoded: string [], JPEG or PNG bytes.
    seed: int [2].
    image_size: height and width of the result.
    settings: settings of the augmentation.

  Returns:
    float32 [height, width, 3] in [-1, 1].
  """
  seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
  if settings.crop == 'random_resized':
    image = decode_random_window(
        encoded, seeds[0], settings.area_range, settings.ratio_range)
  else:
    image = image_decoding.decode(encoded)
  image = tf.image.resize(image, image_size, 'bilinear')
  if settings.crop == 'pad':
    image = random_shift(image, seeds[0], settings.padding)
  if settings.horizontal_flip:
    image = tf.image.stateless_random_flip_left_right(image, seeds[1])
  if settings.vertical_flip:
    image = tf.image.stateless_random_flip_up_down(
        image, tf.random.experimental.stateless_fold_in(seed, 3))
  if settings.policy is not None:
    image = resizing.to_uint8(image)
    if settings.policy == RAND_AUGMENT:
      image = auto_augment.rand_augment(
          image, seeds[2], settings.rand_layers, settings.rand_magnitude)
    else:
      image = auto_augment.auto_augment(
          image, seeds[2], auto_augment.policy(settings.policy))
  if settings.cutout:
    image = hide_square(
        image, tf.random.experimental.stateless_fold_in(seed, 4),
        settings.cutout)
  return tf.ensure_shape(resizing.to_model_range(image), [*image_size, 3])


def decode_random_window(
    encoded: tf.Tensor, seed: tf.Tensor, area_range: Tuple[float, float],
    ratio_range: Tuple[float, float]) -> tf.Tensor:
  """Decodes a random window of an image; most JPEGs are decoded only there.

  If ten draws find no window that fits (in very elongated images), it is the
  whole image.

  Returns:
    uint8 [window height, window width, 3].
  """

  def window(shape):
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape, tf.constant([0.0, 0.0, 1.0, 1.0], shape=[1, 1, 4]), seed,
        min_object_covered=0.0, aspect_ratio_range=ratio_range,
        area_range=area_range, max_attempts=10,
        use_image_if_no_bounding_boxes=True)
    return tf.concat([begin[:2], size[:2]], 0)

  def from_jpeg():
    place = window(tf.io.extract_jpeg_shape(encoded))
    return tf.image.decode_and_crop_jpeg(
        encoded, place, channels=3, dct_method=image_decoding.DCT_METHOD)

  def from_others():
    image = image_decoding.decode(encoded)
    top, left, height, width = tf.unstack(window(tf.shape(image)))
    return image[top:top + height, left:left + width]

  is_stored_upright = tf.equal(image_decoding.orientation(encoded), 1)
  return tf.cond(
      tf.io.is_jpeg(encoded) & is_stored_upright, from_jpeg, from_others)


def random_shift(image: tf.Tensor, seed: tf.Tensor, padding: int) -> tf.Tensor:
  """Shifts an image by up to `padding` pixels each way, filling with grey."""
  shape = tf.shape(image)
  padded = tf.pad(
      image, [[padding, padding], [padding, padding], [0, 0]],
      constant_values=_GREY)
  return tf.image.stateless_random_crop(padded, shape, seed)


def hide_square(image: tf.Tensor, seed: tf.Tensor, side: int) -> tf.Tensor:
  """Makes a square around a random pixel grey; it may end at the borders."""
  height, width = tf.unstack(tf.shape(image)[:2])
  place = tf.random.stateless_uniform([], seed, 0, height * width, tf.int32)
  first = place // width - side // 2, place % width - side // 2
  rows, columns = (
      (tf.range(size) >= start) & (tf.range(size) < start + side)
      for size, start in zip((height, width), first))
  hidden = rows[:, tf.newaxis] & columns
  return tf.where(
      hidden[..., tf.newaxis], tf.cast(_GREY, image.dtype), image)


def targets(label: tf.Tensor, num_classes: int, label_smoothing: float
            ) -> tf.Tensor:
  """Returns the target distribution, float32 [batch, classes].

  Args:
    label: int32 [batch].
    num_classes: number of classes of the data set.
    label_smoothing: share that is spread evenly over all classes.
  """
  everywhere = label_smoothing / num_classes
  return tf.one_hot(
      label, num_classes, on_value=1.0 - label_smoothing + everywhere,
      off_value=everywhere)


def mix(image: tf.Tensor, target: tf.Tensor, seed: tf.Tensor, alpha: float):
  """Blends each image and target with those at the other end of the batch.

  official.vision.ops.augment.MixupAndCutmix draws from the global random
  state, and its factor is uniform whatever alpha is; so this is our own.

  Args:
    image: float32 [batch, height, width, 3].
    target: float32 [batch, classes].
    seed: int [2].
    alpha: parameter of the distribution Beta(alpha, alpha) of the factors.

  Returns:
    image and target, blended.
  """
  gamma = tf.random.stateless_gamma([2, tf.shape(image)[0]], seed, alpha)
  # The share of one of two gamma variables of equal scale follows Beta. With a
  # tiny alpha both may be 0.
  share = tf.where(
      tf.reduce_sum(gamma, 0) > 0,
      tf.math.divide_no_nan(gamma[0], tf.reduce_sum(gamma, 0)), 1.0)
  of_image = share[:, tf.newaxis, tf.newaxis, tf.newaxis]
  of_target = share[:, tf.newaxis]
  return (of_image * image + (1 - of_image) * tf.reverse(image, [0]),
          of_target * target + (1 - of_target) * tf.reverse(target, [0]))
