"""Facts of made-up data sets, and a machine that takes no time."""

import dataclasses

from axial_tf.planning import (
  image_facts,
  machine,
  panoptic_facts,
  schedule,
  symmetry,
)

SYMMETRIC = symmetry.Symmetry(0.05, 0.05, 0.05)
UPRIGHT = symmetry.Symmetry(0.1, 1.2, 1.3)
# The proportions of a street scene, of cells, and of handwriting.
IMAGES = image_facts.ImageFacts(
    count=300, height=180, width=240, long_side=240, same_size=True,
    grey_share=0.0, brightness_spread=0.12, contrast_spread=0.12, detail=0.3)
THINGS = panoptic_facts.InstanceFacts(
    count=2000, diameters=(20, 24, 30, 50), extent=60, small_area=200, gap=30,
    in_image=5, most_in_image=12)


def facts(**changes) -> panoptic_facts.PanopticFacts:
  """Returns a data set of two things and three classes of stuff."""
  classes = tuple(
      panoptic_facts.ClassFacts(f'class {i}', i < 2, 0.2, 300)
      for i in range(5))
  plain = panoptic_facts.PanopticFacts(
      num_train=300, num_validation=50, images=IMAGES, classes=classes,
      instances=THINGS, small_stuff=400.0, crowds=0, void_share=0.0,
      shapes=SYMMETRIC, scenes=UPRIGHT)
  return dataclasses.replace(plain, **changes)


def cells(**changes) -> panoptic_facts.PanopticFacts:
  """Returns many tiny things on one background, without up and down."""
  things = dataclasses.replace(
      THINGS, diameters=(8, 11, 15, 38), gap=10, in_image=23,
      most_in_image=151, small_area=35)
  return facts(**{
      'classes': facts().classes[1:3], 'instances': things,
      'scenes': SYMMETRIC, 'images': dataclasses.replace(
          IMAGES, height=256, width=256, long_side=360), **changes})


def computer(step: float = 1.0, image: float = 0.1, device: str = 'cpu',
             memory: int = 24 * 10 ** 9) -> machine.Machine:
  """Returns a machine that "measures" these times for any network."""
  return machine.Machine(
      'a machine', device, memory, False,
      lambda text: schedule.Timing(20.0, step, image))
