"""Rules for panoptic data: facts in, one choice out, each with its reason.

Pixels are those of the images unless a rule says "scaled": the network sees
images that are `scale` times as large.
"""

import dataclasses
import math
from typing import List, Optional, Tuple

from axial_tf.planning import common_rules, panoptic_facts, schedule
from axial_tf.planning.choices import Choice

Facts = panoptic_facts.PanopticFacts

# A thing of this diameter covers six cells of the small map of stride 4, enough
# for a center and offsets of its own.
GOOD_DIAMETER = 24
# Twice the size takes four times the time; beyond, nothing new is seen.
LARGEST_SCALE = 2.0
# Where most classes are stuff, small things are a minor part of PQ.
LARGEST_SCALE_OF_SCENES = 1.25
# Shrinking keeps half of the things at this diameter, three cells.
LEAST_DIAMETER = 12
# Sides of an image and of a crop that train at a bearable pace.
LONG_SIDE = {'cpu': 513, 'gpu': 1025}
CROP_SIDE = {'cpu': 257, 'gpu': 641}
# An instance that is cut has no center to learn from, so crops have this many
# times the extent of nearly all instances.
CROP_OF_EXTENT = 1.25
# Parts of images without up and down are like whole ones, and on a CPU teach
# more in a time.
CPU_CROP_OF_EXTENT = 2
# Batch norms need a few images for their statistics.
BATCH = {'cpu': 4, 'gpu': 16}
# The statistics of smaller batches differ from the averages that validation
# uses; to these, weights adapt in the last part of a run, at the begin of which
# a cosine decay still leaves a fifth of the rate.
LARGE_BATCH = 16
FROZEN_SHARE = 0.3
# Cohen's d (see `symmetry`): nuclei have 0.1, street scenes upside down 1.3.
TURN_BELOW = 0.2


@dataclasses.dataclass(frozen=True)
class Rung:
  """A network of models/axial_deeplab_small_images.gin.

  Attributes:
    spatial, width, stem_width, blocks, semantic, instance: its macros.
    cost: time of a step relative to REFERENCE's.
    least_steps: number of steps from which on it learns more than a smaller
      one.
    bytes_per_pixel: memory of a training step for each pixel of a batch.
  """

  spatial: str
  width: float
  stem_width: float
  blocks: Tuple[int, ...]
  semantic: int
  instance: int
  cost: float
  least_steps: int
  bytes_per_pixel: int

  def macros(self) -> str:
    return '\n'.join([
        f'SPATIAL = {self.spatial!r}', f'WIDTH = {self.width}',
        f'STEM_WIDTH = {self.stem_width}', f'BLOCKS = {self.blocks}',
        f'SEMANTIC_CHANNELS = {self.semantic}',
        f'INSTANCE_CHANNELS = {self.instance}'])


# Convolutions learn faster by the minute on CPUs, with equal steps as much;
# attention comes where time allows, up to the width and depth of
# Axial-DeepLab-S. Costs are those of CamVid's crops of 225 x 257 pixels on a
# CPU, of the wider axial ones multiply-adds; memory is that of float32.
LADDER = (
    Rung('convolution', 0.125, 0.25, (1, 1, 1, 1), 48, 32, 0.7, 300, 2500),
    Rung('convolution', 0.25, 0.25, (1, 2, 2, 1), 96, 64, 1.0, 700, 4500),
    Rung('convolution', 0.375, 0.5, (2, 3, 3, 2), 128, 64, 1.8, 3000, 9000),
    Rung('axial', 0.375, 0.5, (2, 3, 3, 2), 128, 64, 6.4, 5000, 9000),
    Rung('axial', 0.5, 0.5, (3, 4, 6, 3), 256, 128, 14.4, 10_000, 14000),
)
# The one that is timed first.
REFERENCE = LADDER[1]
# Heads have this stride.
_STRIDE = 4
# A network needs to see each image several times: with fewer passes, a smaller
# one, which makes more of them, learns more.
LEAST_PASSES = 4
# From here on, augmentation may vary images much.
MANY_PASSES = 10
# Fewer passes than this deserve a warning.
FEW_PASSES = 3
# Runs of fewer steps are short: all pixels, high rates, quick averages.
SHORT = 5000


def scale(facts: Facts, device: str) -> Choice:
  """Enlarges small things, shrinks large images; 1 in between."""
  long_side = max(facts.images.height, facts.images.width)
  room = LONG_SIDE[device] / long_side
  if facts.instances is None:
    return Choice('scale', round(min(1.0, room), 2), f'long side {long_side}',
                  'no things; large images are shrunk')
  median = facts.instances.diameters[2]
  measured = f'median diameter {median:.3g}, long side {long_side}'
  if median < GOOD_DIAMETER:
    limit = LARGEST_SCALE if is_of_things(facts) else LARGEST_SCALE_OF_SCENES
    chosen = min(GOOD_DIAMETER / median, limit)
    return Choice('scale', round(chosen, 2), measured,
                  f'things of {GOOD_DIAMETER} pixels are told apart well; '
                  f'at most {limit:g}, which costs {limit ** 2:.2g} times '
                  f'the time')
  chosen = min(1.0, max(room, LEAST_DIAMETER / median))
  return Choice('scale', round(chosen, 2), measured,
                'large images are shrunk' if chosen < 1 else
                'things and images have a good size')


def is_of_things(facts: Facts) -> bool:
  """Whether at least half of the classes that occur are things."""
  return 2 * sum(c.is_thing for c in facts.classes) >= len(facts.classes)


def max_long_side(facts: Facts, scale_: float) -> Optional[Choice]:
  """Shrinks images on reading where the scale is below 1."""
  if scale_ >= 1:
    return None
  side = round(scale_ * max(facts.images.height, facts.images.width))
  return Choice('PanopticDataSettings.max_long_side', side,
                f'long side up to {facts.images.long_side}',
                'shrinks large images for training and validation')


def crop(facts: Facts, scale_: float, device: str) -> Choice:
  """The whole scaled image if it is small, else room for most instances."""
  size = [scale_ * n for n in (facts.images.height, facts.images.width)]
  extent = 0.0 if facts.instances is None else facts.instances.extent
  side = CROP_SIDE[device]
  if device == 'cpu' and extent and is_turned(facts):
    side = min(side, CPU_CROP_OF_EXTENT * scale_ * extent)
  least = max(side, CROP_OF_EXTENT * scale_ * extent)
  sides = tuple(legal_side(min(n, least)) for n in size)
  if is_turned(facts):
    sides = (min(sides),) * 2
  return Choice(
      'AugmentationSettings.crop_size', sides,
      f'{facts.images.height} x {facts.images.width}, 95 % of things within '
      f'{extent:.0f}',
      f'a multiple of 16, plus 1; at most {legal_side(side)}, more only for '
      f'larger things')


def legal_side(side: float) -> int:
  """Returns the next k * 16 + 1, which wastes nothing at output stride 16."""
  return 16 * max(1, math.ceil((side - 1) / 16 - 1e-6)) + 1


def batch(facts: Facts, device: str) -> Choice:
  """A few images a step, no more than there are."""
  chosen = min(BATCH[device], facts.num_train)
  return Choice('BATCH_SIZE', chosen, f'{facts.num_train} training images',
                'batch norms need several images, short runs many steps')


def accumulation(batch_: int, crop_: Tuple[int, int], rung: Rung,
                 memory: Optional[int]) -> Choice:
  """Divides a batch that does not fit into half of the memory."""
  need = batch_ * math.prod(crop_) * rung.bytes_per_pixel
  room = memory / 2 if memory else math.inf
  parts = next((n for n in range(1, batch_ + 1)
                if batch_ % n == 0 and need / n <= room), batch_)
  return Choice('RunSettings.accumulate_steps', parts,
                f'{need / 1e9:.2g} GB a step, about',
                'the batch fits into memory' if parts == 1 else
                'parts of the batch fit into memory, one after the other')


def frozen_share(batch_: int) -> Choice:
  """Ends with the averages of batch norms, which small batches differ from."""
  small = batch_ < LARGE_BATCH
  return Choice('RunSettings.frozen_share', FROZEN_SHARE if small else 0.0,
                f'{batch_} images a step',
                "the end adapts to batch norms' averages" if small else
                'batches of this size are like all images')


def is_turned(facts: Facts) -> bool:
  """Whether scenes and things show no up and down."""
  return all(
      found is not None and found < TURN_BELOW
      for each in (facts.scenes, facts.shapes if facts.instances else
                   facts.scenes)
      for found in (each.upside_down, each.turned))


def turned(facts: Facts) -> List[Choice]:
  """Turns images that have no up and down, as under a microscope."""
  good = is_turned(facts)
  measured = common_rules.difference(facts.scenes.upside_down, 'upside down')
  why = 'no up and down' if good else 'images have an up and a down'
  return [Choice(f'AugmentationSettings.{name}', good, measured, why)
          for name in ('vertical_flip', 'quarter_turns')]


def scale_range(scale_: float, passes: float) -> Choice:
  """Varies the scale more, the more often an image is seen."""
  low, high = (0.8, 1.4) if passes >= MANY_PASSES else (0.9, 1.1)
  base = max(scale_, 1.0)  # Below 1, images are shrunk on reading already.
  return Choice('AugmentationSettings.scale_range',
                (round(low * base, 2), round(high * base, 2)),
                f'{passes:.3g} passes, scale {scale_:g}',
                'around the working scale; more variety for more passes')


def brightness(facts: Facts) -> List[Choice]:
  """Varies light by half of what varies between images."""
  images = facts.images
  colored = images.grey_share < 0.5
  chosen = (
      ('brightness', min(0.2, images.brightness_spread / 2),
       f'brightness varies by {images.brightness_spread:.2g}'),
      ('contrast', min(0.4, images.contrast_spread / 2),
       f'contrast varies by {images.contrast_spread:.2g}'),
      ('saturation', 0.2 if colored else 0.0,
       f'{images.grey_share:.0%} of the images are grey'))
  return [Choice(f'AugmentationSettings.{name}', round(value, 2), measured,
                 'new images vary as those here do')
          for name, value, measured in chosen]


def sigma(facts: Facts, scale_: float) -> Optional[Choice]:
  """Gaussians of neighbors must stay two peaks: 2.5 sigma apart."""
  if facts.instances is None:
    return None
  gap = facts.instances.gap or facts.instances.diameters[2]
  return Choice('TargetSettings.sigma',
                round(min(8.0, max(2.0, gap * scale_ / 2.5)), 1),
                f'centers {gap:.3g} apart (10th percentile)',
                "neighbors keep two peaks; at most the paper's 8")


def sigma_by_size(facts: Facts) -> Optional[Choice]:
  """Ties sigma to the size where things of a class differ much in size."""
  if facts.instances is None:
    return None
  low, _, _, high = facts.instances.diameters
  varied = high > 3 * low
  return Choice('TargetSettings.sigma_by_size', 0.5 if varied else 0.0,
                f'diameters {low:.3g} to {high:.3g} (10 to 90 %)',
                'a small thing gets a narrow peak' if varied else
                'things have about one size')


def small_instances(facts: Facts, scale_: float) -> Optional[Choice]:
  """The smallest quarter counts more, not all of them."""
  if facts.instances is None:
    return None
  diameter = facts.instances.small * scale_
  return Choice('TargetSettings.small_instance_area',
                min(4096, max(1, round(math.pi / 4 * diameter ** 2))),
                f'a quarter of the things below {diameter:.3g} pixels, scaled',
                'the smallest quarter counts three times in the loss')


def offset_scale(facts: Facts, scale_: float) -> Optional[Choice]:
  """A larger unit where offsets are many cells of the small map."""
  if facts.instances is None:
    return None
  cells = facts.instances.extent * scale_ / 2 / _STRIDE
  unit = 2.0 ** max(0, min(4, round(math.log2(max(cells, 1) / 4))))
  return Choice('PanopticDeepLabSettings.offset_scale', unit,
                f'offsets up to {cells:.3g} cells',
                'few steps cannot grow the weights for large offsets')


def offset_weight(facts: Facts, scale_: float) -> Optional[Choice]:
  """The paper's 0.01 is for offsets of about 40 pixels."""
  if facts.instances is None:
    return None
  radius = facts.instances.diameters[2] * scale_ / 2
  return Choice('LossSettings.offset_weight',
                round(min(0.1, max(0.01, 0.4 / radius)), 3),
                f'median radius {radius:.3g}, scaled',
                'small offsets need a larger weight to count')


def center_weight(steps: int) -> Choice:
  """Short runs learn classes first."""
  short = steps < SHORT
  return Choice('LossSettings.center_weight', 50.0 if short else 200.0,
                f'{steps} steps', 'telling classes apart comes first in short '
                'runs' if short else "the paper's")


def boundary_weight(facts: Facts, scale_: float) -> Optional[Choice]:
  """Weights the pixels between touching things of one class."""
  if facts.instances is None or not facts.instances.gap:
    return None
  touching = facts.instances.gap < facts.instances.diameters[2]
  why = ('things stand apart' if not touching
         else 'borders tell touching things apart' if is_of_things(facts)
         else 'most classes are stuff')
  return Choice('LossSettings.boundary_weight',
                2.0 if touching and is_of_things(facts) else 1.0,
                f'centers {facts.instances.gap * scale_:.3g} apart, scaled',
                why)


def top_k(steps: int) -> Choice:
  """The hardest pixels only once the others are learned."""
  short = steps < SHORT
  return Choice('LossSettings.semantic_top_k', 1.0 if short else 0.2,
                f'{steps} steps', 'too short for the hardest fifth only'
                if short else "the paper's hardest fifth")


def merging(facts: Facts, scale_: float) -> List[Choice]:
  """Rules of merging, at the pixels of the images as they are merged."""
  by = min(scale_, 1.0)
  choices = [_stuff_limit(facts, by)] if facts.small_stuff is not None else []
  things = facts.instances
  if things is None:
    return choices
  window = (things.gap or things.diameters[2]) * by
  kernel = 2 * max(1, min(7, int(window / 2))) + 1
  centers = 50 * math.ceil(1.5 * things.most_in_image / 50)
  many = things.in_image >= 10 and is_of_things(facts)
  measured = f'{things.in_image} instances an image'
  return choices + [
      Choice('MergingSettings.nms_kernel', kernel, f'centers {window:.3g} '
             f'apart', 'no wider than neighbors are apart'),
      Choice('MergingSettings.max_centers', centers,
             f'{things.most_in_image} instances in one image',
             'room for half as many again'),
      Choice('MergingSettings.center_threshold', 0.2 if many else 0.1,
             measured, 'drops doubtful instances among many' if many else
             'finds what is rare'),
      Choice('MergingSettings.suppression', 'border' if many else 'window',
             measured, 'one center for each thing with a border' if many
             else 'things of stuff-rich scenes are no compact disks'),
      Choice('MergingSettings.min_agreement', 0.3, measured,
             'drops instances whose pixels point elsewhere'),
      Choice('MergingSettings.min_instance_area',
             round(things.small_area * by ** 2 / 2),
             f'5 % of the areas below {things.small_area:.0f}',
             'half of that is noise')]


def _stuff_limit(facts: Facts, by: float) -> Choice:
  area = facts.images.height * facts.images.width * by ** 2
  limit = min(2048, int(area / 1000), int(facts.small_stuff * by ** 2 / 2))
  return Choice('MergingSettings.stuff_area_limit', limit,
                f'5 % of stuff below {facts.small_stuff:.0f} pixels',
                "drops specks of stuff; at most a thousandth of the image and "
                "the paper's 2048")


def views(facts: Facts, scale_: float, flip: bool, image_seconds: float,
          minutes: float) -> Tuple[Choice, Choice]:
  """Averages over as many views as one validation has time for."""
  base = max(scale_, 1.0)
  around = tuple(round(base * factor, 2) for factor in (0.8, 1.0, 1.25))
  room = 60 * minutes * schedule.VALIDATION_SHARE
  candidates = [(around, flip), ((base,), flip), ((base,), False)]
  chosen, mirror = next(
      (c for c in candidates if image_seconds * facts.num_validation
       * cost_of_views(*c, base) <= room), candidates[-1])
  measured = (f'{facts.num_validation} validation images, '
              f'{image_seconds:.2g} s a view')
  why = 'as many views as a tenth of the time allows'
  return (Choice('SCALES', chosen, measured, why),
          Choice('FLIP', mirror, measured, why))


def cost_of_views(scales: Tuple[float, ...], flip: bool, base: float) -> float:
  """Returns the time of views relative to one at the scale `base`."""
  return (1 + flip) * sum((s / base) ** 2 for s in scales)


def learning_rate(steps: int, rung: Rung) -> Choice:
  """High rates learn fastest in short runs; wide networks bear less."""
  rate = min(2e-2, max(1e-3, 0.5 / math.sqrt(steps)))
  rate *= min(1.0, REFERENCE.width / rung.width)
  return Choice('LEARNING_RATE', float(f'{rate:.2g}'), f'{steps} steps',
                'high rates with cosine decay learn fastest in short runs')
