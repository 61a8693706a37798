"""AutoAugment and RandAugment with the Model Garden's image operations.

The operations and policies are those of official.vision.ops.augment. Its
classes draw from TensorFlow's global random state, so that images differ from
run to run and depend on the order of threads; here every draw is a pure
function of a seed. Its contrast differs between its versions, see
`_gray_mean`; ours is Pillow's, as AutoAugment's paper defines the operations.

Images are uint8 [height, width, 3].
"""

import functools
from typing import Sequence, Tuple

import numpy as np
import tensorflow as tf

# Value with which the official operations fill uncovered parts of an image.
_FILL = 128
# The official defaults: pixels at level 10, half the side of a cutout.
_AUTO_TRANSLATE, _AUTO_CUTOUT = 250.0, 100.0
_RAND_TRANSLATE, _RAND_CUTOUT = 100.0, 40.0
# Arguments of the operations that move pixels at level 10 (AutoAugment,
# table 6): degrees, shear factor. Their sign is random.
_LARGEST = {'Rotate': 30.0, 'ShearX': 0.3, 'ShearY': 0.3}
_MOVING = (*_LARGEST, 'TranslateX', 'TranslateY')
# Operations that blend the image with one that lacks the quality.
_BLENDING = ('Color', 'Contrast', 'Brightness', 'Sharpness')
OPERATIONS = (
    *_BLENDING, 'AutoContrast', 'Equalize', 'Invert', 'Posterize', 'Solarize',
    'SolarizeAdd', *_MOVING, 'Cutout')
# (operation, probability, level 0..10) one after the other.
SubPolicy = Sequence[Tuple[str, float, float]]

# The official methods that return policies. Those for segmentation move no
# pixel away from its label.
_COLOR_METHODS = {
    'panoptic_deeplab': 'panoptic_deeplab_policy',
    'simple': 'policy_simple'}
_METHODS = {
    **_COLOR_METHODS,
    'v0': 'policy_v0',
    'reduced_imagenet': 'policy_reduced_imagenet',
    'reduced_cifar10': 'policy_reduced_cifar10',
    'svhn': 'policy_svhn'}
COLOR_POLICIES = tuple(_COLOR_METHODS)
POLICIES = tuple(_METHODS)


def _official():
  # Takes a second, which most commands would wait for in vain.
  from official.vision.ops import augment
  return augment


def policy(name: str) -> Sequence[SubPolicy]:
  """Returns the policy of a name in `POLICIES`, for `auto_augment`."""
  found = getattr(_official().AutoAugment, _METHODS[name])()
  return tuple(tuple(map(tuple, sub_policy)) for sub_policy in found)


def auto_augment(image: tf.Tensor, seed: tf.Tensor,
                 policy: Sequence[SubPolicy]) -> tf.Tensor:
  """Applies one sub-policy, drawn at random.

  Args:
    image: uint8 [height, width, 3].
    seed: int [2].
    policy: a policy, for example `policy('v0')`.

  Returns:
    uint8 of the shape of `image`.
  """
  names = sorted({name for sub_policy in policy for name, _, _ in sub_policy})
  steps = max(map(len, policy))
  # [sub-policies, steps] each; a missing step is the last name's at chance 0.
  index = np.full([len(policy), steps], len(names) - 1, np.int32)
  chance, arguments = (
      np.zeros([len(policy), steps], np.float32) for _ in range(2))
  for row, sub_policy in enumerate(policy):
    for step, (name, probability, level) in enumerate(sub_policy):
      index[row, step] = names.index(name)
      chance[row, step] = probability
      arguments[row, step] = argument(
          name, level, _AUTO_TRANSLATE, _AUTO_CUTOUT)

  seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 1 + steps))
  row = tf.random.stateless_uniform([], seeds[0], 0, len(policy), tf.int32)
  for step, step_seed in enumerate(seeds[1:]):
    chance_seed, operation_seed = tf.unstack(
        tf.random.experimental.stateless_split(step_seed, 2))
    acts = tf.random.stateless_uniform([], chance_seed) < tf.gather(
        chance[:, step], row)
    image = _apply_one(
        tf.where(acts, tf.gather(index[:, step], row), len(names)), names,
        image, tf.gather(arguments[:, step], row), operation_seed)
  return image


def rand_augment(image: tf.Tensor, seed: tf.Tensor, layers: int,
                 magnitude: float) -> tf.Tensor:
  """Applies `layers` operations, drawn at random (RandAugment).

  As in the Model Garden, an operation's arguments are those of `magnitude`
  (0..10), and no operation at all is one of the choices.

  Args:
    image: uint8 [height, width, 3].
    seed: int [2].
    layers: number of operations, applied one after the other.
    magnitude: level of all operations.

  Returns:
    uint8 of the shape of `image`.
  """
  arguments = np.array([
      argument(name, magnitude, _RAND_TRANSLATE, _RAND_CUTOUT)
      for name in OPERATIONS] + [0.0], np.float32)
  for layer_seed in tf.unstack(
      tf.random.experimental.stateless_split(seed, layers)):
    choice_seed, operation_seed = tf.unstack(
        tf.random.experimental.stateless_split(layer_seed, 2))
    choice = tf.random.stateless_uniform(
        [], choice_seed, 0, len(OPERATIONS) + 1, tf.int32)
    image = _apply_one(
        choice, OPERATIONS, image, tf.gather(arguments, choice), operation_seed)
  return image


def argument(name: str, level: float, translate: float, cutout: float) -> float:
  """Returns the argument of an operation at some level, see `apply`.

  Args:
    name: one of `OPERATIONS`.
    level: strength, 0..10.
    translate: pixels by which TranslateX and TranslateY move at level 10.
    cutout: half the side of a cutout at level 10, in pixels.
  """
  if name in _MOVING:
    return _LARGEST.get(name, translate) * level / 10
  found = _official().level_to_arg(cutout, translate)[name](level)
  value = float(found[0]) if found else 0.0
  if name == 'Posterize':
    return max(1.0, value)  # Low levels give 0 bits, a black image.
  if name == 'Solarize':
    return min(255.0, value)  # 256, at level 10, is not a uint8.
  return value


def apply(name: str, image: tf.Tensor, value: tf.Tensor, seed: tf.Tensor
          ) -> tf.Tensor:
  """Applies one operation.

  Args:
    name: one of `OPERATIONS`, as official.vision.ops.augment calls it.
    image: uint8 [height, width, 3].
    value: float32 [], its argument; see `argument`.
    seed: int [2]; determines directions and the place of a cutout.

  Returns:
    uint8 of the shape of `image`.
  """
  if name == 'Cutout':
    return _cut_out(image, seed, tf.cast(value, tf.int32))
  operation = _official().NAME_TO_FUNC[name]
  if name in _MOVING:
    sign = tf.sign(tf.random.stateless_uniform([], seed, -1.0, 1.0))
    return operation(image, sign * value, [_FILL] * 3)
  if name == 'Sharpness':
    # The official kernel needs 3 x 3 pixels.
    return tf.cond(
        tf.reduce_min(tf.shape(image)[:2]) >= 3,
        lambda: _blend(operation(image, 0.0), image, value), lambda: image)
  if name == 'Contrast':
    return _blend(_gray_mean(image), image, value)
  if name in _BLENDING:
    return _blend(operation(image, 0.0), image, value)
  if name in ('Posterize', 'Solarize'):
    return operation(image, tf.cast(value, tf.uint8))
  if name == 'SolarizeAdd':
    return operation(image, tf.cast(value, tf.int64))
  return operation(image)


def _apply_one(index, names, image, value, seed) -> tf.Tensor:
  """Applies the operation of `index`; none past the end of the names.

  A branch per operation, not per entry of a policy, keeps graphs small.
  """
  branches = [functools.partial(apply, name, image, value, seed)
              for name in names] + [lambda: image]
  result = tf.switch_case(index, branches)
  return tf.ensure_shape(result, image.shape)  # lost by the branches


def _gray_mean(image: tf.Tensor) -> tf.Tensor:
  """Returns float32 []: the gray (0..255) of an image without contrast.

  It is the mean of the luminance. The Model Garden 2.15 has the number of
  pixels / 256 instead, so that large images fade to white, and 2.20 the mean
  of each channel, which changes colors, too.
  """
  gray = tf.linalg.matvec(
      tf.cast(image, tf.float32), tf.constant([0.299, 0.587, 0.114]))
  return tf.floor(tf.reduce_mean(tf.round(gray)) + 0.5)


def _blend(without: tf.Tensor, image: tf.Tensor, factor: tf.Tensor
           ) -> tf.Tensor:
  """The official blend, but for factors unknown when the graph is built."""
  without = tf.cast(without, tf.float32)
  blended = without + factor * (tf.cast(image, tf.float32) - without)
  return tf.cast(tf.clip_by_value(blended, 0.0, 255.0), tf.uint8)


def _cut_out(image: tf.Tensor, seed: tf.Tensor, half_side: tf.Tensor
             ) -> tf.Tensor:
  """Fills a square around a random pixel."""
  outside = tf.constant(False)
  for axis, axis_seed in enumerate(tf.unstack(
      tf.random.experimental.stateless_split(seed, 2))):
    size = tf.shape(image)[axis]
    center = tf.random.stateless_uniform([], axis_seed, 0, size, tf.int32)
    place = tf.range(size)
    beyond = (place < center - half_side) | (place >= center + half_side)
    outside |= beyond[:, tf.newaxis] if axis == 0 else beyond
  return tf.where(outside[..., tf.newaxis], image, tf.constant(_FILL, tf.uint8))
