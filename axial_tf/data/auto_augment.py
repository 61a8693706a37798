"""AutoAugment and RandAugment with the Model Garden's image operations.

The operations and policies are those of official.vision.ops.augment. Its
classes draw from TensorFlow's global random state, so that images come out
differently in each run and depend on which thread is first; here every draw
is a pure function of a seed. Its contrast is kept as it is, too: it blends
with a mean that it computes wrongly (nearly always 255), with which the
published policies were found and used.

Images are uint8 [height, width, 3].
"""

import functools
from typing import Callable, List, Sequence, Tuple

from official.vision.ops import augment as official_augment
import tensorflow as tf

# What the official operations fill the uncovered parts of a picture with.
_FILL = 128
# Arguments of the operations that move pixels at level 10 (AutoAugment,
# table 6): degrees, shear factor. They go either way.
_LARGEST = {'Rotate': 30.0, 'ShearX': 0.3, 'ShearY': 0.3}
_COLOR_OPERATIONS = (
    'AutoContrast', 'Equalize', 'Posterize', 'Solarize', 'SolarizeAdd', 'Color',
    'Contrast', 'Brightness', 'Sharpness')
_OPERATIONS = (
    *_COLOR_OPERATIONS, 'Invert', 'Rotate', 'ShearX', 'ShearY', 'TranslateX',
    'TranslateY', 'Cutout')
# (operation, probability, level 0..10) one after the other.
SubPolicy = Sequence[Tuple[str, float, float]]


def _policies(**getters: Callable[[], List[SubPolicy]]):
  return {name: tuple(tuple(map(tuple, sub_policy)) for sub_policy in getter())
          for name, getter in getters.items()}


# For segmentation: nothing here moves a pixel away from its label.
COLOR_POLICIES = _policies(
    panoptic_deeplab=official_augment.AutoAugment.panoptic_deeplab_policy,
    simple=official_augment.AutoAugment.policy_simple)
# For classification.
POLICIES = {**COLOR_POLICIES, **_policies(
    v0=official_augment.AutoAugment.policy_v0,
    reduced_imagenet=official_augment.AutoAugment.policy_reduced_imagenet,
    reduced_cifar10=official_augment.AutoAugment.policy_reduced_cifar10,
    svhn=official_augment.AutoAugment.policy_svhn)}


def auto_augment(image: tf.Tensor, seed: tf.Tensor,
                 policy: Sequence[SubPolicy]) -> tf.Tensor:
  """Applies one sub-policy, drawn at random.

  Args:
    image: uint8 [height, width, 3].
    seed: int [2].
    policy: for example `POLICIES['v0']`.

  Returns:
    uint8 of the shape of `image`.
  """
  choice_seed, seed = tf.unstack(
      tf.random.experimental.stateless_split(seed, 2))
  choice = tf.random.stateless_uniform(
      [], choice_seed, 0, len(policy), tf.int32)
  branches = [functools.partial(_apply_in_turn, image, seed, sub_policy)
              for sub_policy in policy]
  return _same_shape(tf.switch_case(choice, branches), image)


def rand_augment(image: tf.Tensor, seed: tf.Tensor, layers: int,
                 magnitude: float) -> tf.Tensor:
  """Applies `layers` operations, drawn at random (RandAugment).

  As in the Model Garden, an operation's arguments are those of `magnitude`
  (0..10), and no operation at all is one more choice.

  Args:
    image: uint8 [height, width, 3].
    seed: int [2].
    layers: how many operations, one after the other.
    magnitude: level of all operations.

  Returns:
    uint8 of the shape of `image`.
  """
  for layer_seed in tf.unstack(
      tf.random.experimental.stateless_split(seed, layers)):
    choice_seed, seed = tf.unstack(
        tf.random.experimental.stateless_split(layer_seed, 2))
    choice = tf.random.stateless_uniform(
        [], choice_seed, 0, len(_OPERATIONS) + 1, tf.int32)
    branches = [
        functools.partial(apply, name, image, magnitude, seed, 100.0, 40)
        for name in _OPERATIONS] + [lambda image=image: image]
    image = _same_shape(tf.switch_case(choice, branches), image)
  return image


def apply(name: str, image: tf.Tensor, level: float, seed: tf.Tensor,
          translate: float = 250.0, cutout: int = 100) -> tf.Tensor:
  """Applies one operation.

  Args:
    name: as in official.vision.ops.augment, for instance 'Equalize'.
    image: uint8 [height, width, 3].
    level: strength, 0..10.
    seed: int [2]; decides on directions and the place of a cutout.
    translate: pixels by which TranslateX and TranslateY move at level 10.
    cutout: half the side of a cutout at level 10.

  Returns:
    uint8 of the shape of `image`.
  """
  operation = official_augment.NAME_TO_FUNC[name]
  if name == 'Cutout':
    return _cut_out(image, seed, int(level / 10 * cutout))
  if name in ('TranslateX', 'TranslateY', *_LARGEST):
    amount = _LARGEST.get(name, translate) * level / 10
    sign = tf.sign(tf.random.stateless_uniform([], seed, -1.0, 1.0))
    return operation(image, sign * amount, [_FILL] * 3)
  arguments = official_augment.level_to_arg(cutout, translate)[name](level)
  if name == 'Posterize':
    # Low levels come out as 0 bits, a shift whose result is undefined.
    arguments = (max(1, *arguments),)
  return operation(image, *arguments)


def _apply_in_turn(image, seed, sub_policy: SubPolicy) -> tf.Tensor:
  for number, (name, probability, level) in enumerate(sub_policy):
    chance_seed, operation_seed = tf.unstack(
        tf.random.experimental.stateless_split(
            tf.random.experimental.stateless_fold_in(seed, number), 2))
    if probability > 0:
      image = tf.cond(
          tf.random.stateless_uniform([], chance_seed) < probability,
          functools.partial(apply, name, image, level, operation_seed),
          lambda image=image: image)
  return image


def _cut_out(image: tf.Tensor, seed: tf.Tensor, half_side: int) -> tf.Tensor:
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


def _same_shape(result: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
  """Restores the static shape, which the branches lose."""
  return tf.ensure_shape(result, image.shape)
