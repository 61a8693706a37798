"""Rules for classification data, see `panoptic_rules`."""

import dataclasses
import math
from typing import List, Optional, Tuple

from axial_tf.planning import class_facts
from axial_tf.planning.choices import Choice

Facts = class_facts.ClassDataFacts

# The side to which larger images are resized.
SIDE = {'cpu': 96, 'gpu': 224}
# Small images are not resized: each pixel counts.
SMALL = 64
# Images a step. On a CPU, small batches lose little time, and a few passes over
# CIFAR-10 ended no worse with 32 images a step than with 128.
BATCH = {'cpu': 64, 'gpu': 128}
# The rate of the recipe, which is for a batch of this size.
RATE, BATCH_OF_RATE = 0.1, 128
# A batch holds at most this share of the images: an epoch has some steps.
_STEPS_OF_AN_EPOCH = 8
# The paper's side of 256 for crops of 224.
_RESIZED = 256 / 224
# Classes of which one has this many times the images of another are unequal.
_UNEQUAL = 10


@dataclasses.dataclass(frozen=True)
class Rung:
  """A network of models/classifier_small_images.gin.

  Attributes:
    spatial, width, stem_width, blocks: its macros.
    cost: time of a step relative to REFERENCE's.
    least_steps: number of steps from which on it learns more than a smaller
      one.
  """

  spatial: str
  width: float
  stem_width: float
  blocks: Tuple[int, ...]
  cost: float
  least_steps: int

  def macros(self) -> str:
    return '\n'.join([
        f'STEM = {STEM!r}',
        f'SPATIAL = {self.spatial!r}', f'WIDTH = {self.width}',
        f'STEM_WIDTH = {self.stem_width}', f'BLOCKS = {self.blocks}'])


# Three convolutions before the images shrink: with one, small images lose most
# of what the stages could learn from.
STEM = 'small_inception'
# Convolutions learn faster by the minute on CPUs, where 12 passes over small
# images gave both kinds the same accuracy; attention comes where time allows.
# Costs follow the times of the two experiments with CIFAR-10 in gin_configs, to
# which the stem adds half of REFERENCE's; those of wider networks follow their
# multiply-adds.
LADDER = (
    Rung('convolution', 0.25, 0.5, (1, 2, 2, 1), 0.7, 300),
    Rung('convolution', 0.375, 0.5, (1, 2, 2, 1), 1.0, 500),
    Rung('axial', 0.25, 0.5, (1, 2, 2, 1), 2.0, 2000),
    Rung('axial', 0.375, 0.5, (2, 3, 3, 2), 5.0, 8000),
    Rung('axial', 0.5, 1.0, (3, 4, 6, 3), 15.0, 30_000),
)
REFERENCE = LADDER[1]
# Accuracy of a small network grows most up to here.
LEAST_PASSES = 25
FEW_PASSES = 5


def image_size(facts: Facts, device: str) -> Choice:
  """The size of the images if they are small, else a bearable square."""
  height, width = facts.images.height, facts.images.width
  small = facts.images.same_size and max(height, width) <= SMALL
  side = min(SIDE[device], 8 * max(1, round(min(height, width) / 8)))
  return Choice('ClassificationDataSettings.image_size',
                (height, width) if small else (side, side),
                f'{height} x {width} (median)',
                'small images are not resized' if small else
                f'squares of at most {SIDE[device]} pixels')


def validation_resize(size: Tuple[int, int], facts: Facts) -> Choice:
  """The paper's center crop where images are resized anyway."""
  whole = size == (facts.images.height, facts.images.width)
  return Choice('ClassificationDataSettings.validation_resize',
                None if whole else round(max(size) * _RESIZED),
                f'image size {size[0]} x {size[1]}',
                'whole images' if whole else "a center crop, as the paper's")


def crop(size: Tuple[int, int], facts: Facts, passes: float) -> List[Choice]:
  """Shifts small images; cuts windows out of others."""
  measured = f'{facts.images.height} x {facts.images.width} (median)'
  name = 'ClassificationAugmentationSettings'
  if size == (facts.images.height, facts.images.width):
    padding = max(1, min(size) // 8)
    return [Choice(f'{name}.crop', 'pad', measured, 'small images are shifted'),
            Choice(f'{name}.padding', padding, measured, 'by an eighth')]
  least = 0.08 if passes >= 4 * LEAST_PASSES else 0.35
  return [
      Choice(f'{name}.crop', 'random_resized', measured, 'random windows'),
      Choice(f'{name}.area_range', (least, 1.0), f'{passes:.3g} passes',
             "the paper's small windows need many passes")]


def batch(facts: Facts, device: str) -> Choice:
  """A power of two, so that an epoch has some steps."""
  limit = max(1, facts.num_train // _STEPS_OF_AN_EPOCH)
  return Choice('BATCH_SIZE', min(BATCH[device], 2 ** int(math.log2(limit))),
                f'{facts.num_train} training images',
                f'at most {BATCH[device]}, and some steps in each epoch')


def learning_rate(batch_: int) -> Choice:
  rate = RATE * math.sqrt(batch_ / BATCH_OF_RATE)
  return Choice('LEARNING_RATE', float(f'{rate:.2g}'), f'batch of {batch_}',
                f'{RATE} for {BATCH_OF_RATE} images, otherwise by the root of '
                f'their number')


def weight_decay(facts: Facts) -> Choice:
  """A network overfits few images without it."""
  few = facts.num_train < 100_000
  return Choice('OptimizerSettings.weight_decay', 5e-4 if few else 8e-5,
                f'{facts.num_train} training images',
                'few images need more of it' if few else "the paper's")


def label_smoothing(facts: Facts) -> Choice:
  """The paper's, unless there are two classes only."""
  many = len(facts.class_images) > 2
  return Choice('ClassificationAugmentationSettings.label_smoothing',
                0.1 if many else 0.0, f'{len(facts.class_images)} classes',
                "the paper's" if many else 'two classes are told apart surely')


def mixup(passes: float) -> Choice:
  """Blends images only where each is seen very often."""
  often = passes >= 4 * LEAST_PASSES
  return Choice('ClassificationAugmentationSettings.mixup_alpha',
                0.2 if often else 0.0, f'{passes:.3g} passes',
                'images are seen often' if often else 'slows short runs down')


def imbalance(facts: Facts) -> Optional[str]:
  """Returns a note if some classes have far fewer images than others."""
  images = [n for n in facts.class_images if n]
  if not images or max(images) < _UNEQUAL * min(images):
    return None
  return (f'classes have {min(images)} to {max(images)} images: the smallest '
          f'will be confused; collect more of them')
