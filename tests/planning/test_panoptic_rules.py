"""Each rule answers to what it measures, whatever the data set."""

import dataclasses

import pytest

from axial_tf.planning import panoptic_rules as rules
from axial_tf.planning import symmetry
from tests.planning import plans


def _things(**changes):
  return plans.facts(instances=dataclasses.replace(plans.THINGS, **changes))


def _images(**changes):
  return dataclasses.replace(plans.IMAGES, **changes)


def test_small_things_are_enlarged_to_a_good_size():
  scale = rules.scale(plans.cells(), 'cpu').value
  assert scale * 15 == pytest.approx(rules.GOOD_DIAMETER, rel=0.01)
  tiny = _things(diameters=(2, 3, 4, 5))
  assert rules.scale(tiny, 'cpu').value == rules.LARGEST_SCALE_OF_SCENES
  only_things = dataclasses.replace(tiny, classes=tiny.classes[:2])
  assert rules.scale(only_things, 'cpu').value == rules.LARGEST_SCALE
  assert rules.scale(plans.facts(), 'cpu').value == 1


def test_large_images_are_shrunk_but_not_below_what_things_need():
  large = plans.facts(images=_images(height=1000, width=2052))
  assert rules.scale(large, 'cpu').value == 0.4  # 12 of 30 pixels.
  assert rules.scale(large, 'gpu').value == 0.5
  assert rules.max_long_side(large, 0.5).value == 1026
  assert rules.max_long_side(large, 1.0) is None
  assert rules.scale(
      dataclasses.replace(large, instances=None), 'cpu').value == 0.25


@pytest.mark.parametrize('side, expected', [
    (1, 17), (17, 17), (18, 33), (128, 129), (240, 241), (256, 257)])
def test_sides_waste_nothing_at_stride_16(side, expected):
  assert rules.legal_side(side) == expected


def test_crops_hold_whole_images_or_things():
  assert rules.crop(plans.facts(), 1.0, 'cpu').value == (193, 241)
  wide = plans.facts(images=_images(height=400, width=800))
  assert rules.crop(wide, 1.0, 'cpu').value == (257, 257)
  huge = dataclasses.replace(
      wide, instances=dataclasses.replace(plans.THINGS, extent=300))
  assert rules.crop(huge, 1.0, 'cpu').value == (385, 385)
  # Turning by 90 degrees needs a square.
  assert rules.crop(plans.facts(scenes=plans.SYMMETRIC), 1.0, 'gpu').value == (
      193, 193)


def test_parts_of_images_without_up_and_down_are_enough_on_cpus():
  cells = plans.cells()
  assert cells.instances.extent == 60
  assert rules.crop(cells, 1.6, 'cpu').value == (193, 193)
  assert rules.crop(plans.facts(scenes=plans.SYMMETRIC), 1.0, 'cpu').value == (
      129, 129)
  assert rules.crop(cells, 1.6, 'gpu').value == (417, 417)


def test_batches_and_their_parts():
  assert rules.batch(plans.facts(), 'cpu').value == 4
  assert rules.batch(plans.facts(num_train=3), 'cpu').value == 3
  rung = rules.REFERENCE
  need = 8 * 257 * 257 * rung.bytes_per_pixel
  for room, parts in ((need, 1), (need / 2, 2), (need / 3, 4), (1, 8)):
    found = rules.accumulation(8, (257, 257), rung, int(2 * room))
    assert found.value == parts
  assert rules.accumulation(8, (257, 257), rung, None).value == 1


@pytest.mark.parametrize('scenes, shapes, expected', [
    (plans.SYMMETRIC, plans.SYMMETRIC, True),
    (plans.UPRIGHT, plans.SYMMETRIC, False),
    (plans.SYMMETRIC, plans.UPRIGHT, False),
    (symmetry.Symmetry(), plans.SYMMETRIC, False)])
def test_turns_need_evidence(scenes, shapes, expected):
  facts = plans.facts(scenes=scenes, shapes=shapes)
  assert [c.value for c in rules.turned(facts)] == [expected] * 2


def test_scales_vary_around_the_working_scale():
  assert rules.scale_range(1.5, 20).value == (1.2, 2.1)
  assert rules.scale_range(1.0, 2).value == (0.9, 1.1)
  assert rules.scale_range(0.5, 2).value == (0.9, 1.1)  # Shrunk on reading.


def test_light_varies_as_in_the_data():
  grey = plans.facts(images=_images(grey_share=1.0, brightness_spread=0.0))
  assert [c.value for c in rules.brightness(grey)] == [0.0, 0.06, 0.0]
  assert [c.value for c in rules.brightness(plans.facts())] == [0.06, 0.06, 0.2]


def test_gaussians_of_neighbors_stay_apart():
  assert rules.sigma(plans.cells(), 1.6).value == 6.4
  assert rules.sigma(plans.facts(), 1.0).value == 8.0
  assert rules.sigma(_things(gap=1.0), 1.0).value == 2.0
  assert rules.sigma(_things(gap=None), 1.0).value == 8.0
  assert rules.sigma_by_size(plans.cells()).value == 0.5
  assert rules.sigma_by_size(plans.facts()).value == 0.0


def test_the_smallest_quarter_counts_more():
  assert rules.small_instances(plans.facts(), 1.0).value == 452
  large = _things(diameters=(100, 200, 300, 400))
  assert rules.small_instances(large, 1.0).value == 4096


def test_offsets_get_a_unit_and_a_weight():
  assert rules.offset_scale(_things(extent=310), 1.0).value == 8.0
  assert rules.offset_scale(plans.facts(), 1.0).value == 2.0
  assert rules.offset_scale(_things(extent=5), 1.0).value == 1.0
  assert rules.offset_weight(plans.facts(), 1.0).value == 0.027
  assert rules.offset_weight(
      _things(diameters=(80, 80, 80, 80)), 1.0).value == 0.01


def test_short_runs_learn_classes_first():
  assert rules.center_weight(700).value == 50
  assert rules.center_weight(60000).value == 200
  assert rules.top_k(700).value == 1.0
  assert rules.top_k(60000).value == 0.2
  narrow, wide = rules.LADDER[1], rules.LADDER[-1]
  assert rules.learning_rate(650, narrow).value == 0.02
  assert rules.learning_rate(60000, narrow).value == 0.002
  assert rules.learning_rate(650, wide).value == 0.0098


def test_merging_knows_the_neighbors_and_the_stuff():
  chosen = {c.name.split('.')[1]: c.value
            for c in rules.merging(plans.cells(), 1.6)}
  assert chosen == {
      'stuff_area_limit': 65, 'nms_kernel': 11, 'max_centers': 250,
      'center_threshold': 0.2, 'suppression': 'border', 'min_agreement': 0.3,
      'min_instance_area': 18}
  scene = {c.name.split('.')[1]: c.value
           for c in rules.merging(plans.facts(), 0.5)}
  assert scene['suppression'] == 'window'
  assert scene['min_agreement'] == 0.3
  assert scene['stuff_area_limit'] == 10  # A thousandth of the smaller image.
  assert scene['min_instance_area'] == 25
  assert rules.merging(plans.facts(instances=None, small_stuff=None), 1) == []


def test_validation_takes_the_views_that_it_has_time_for():
  def views(seconds, flip=True):
    return [c.value for c in rules.views(plans.facts(), 1.5, flip, seconds, 20)]

  assert views(0.1) == [(1.2, 1.5, 1.88), True]
  assert views(0.1, False) == [(1.2, 1.5, 1.88), False]
  assert views(1.0) == [(1.5,), True]
  assert views(9.0) == [(1.5,), False]
  assert rules.cost_of_views((1.0, 2.0), True, 1.0) == 10


def test_networks_grow_along_the_ladder():
  costs = [rung.cost for rung in rules.LADDER]
  assert costs == sorted(costs)
  assert rules.REFERENCE.cost == 1
