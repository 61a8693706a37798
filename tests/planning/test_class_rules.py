import dataclasses

import pytest

from axial_tf.planning import class_facts
from axial_tf.planning import class_rules as rules
from tests.planning import plans

FACTS = class_facts.ClassDataFacts(
    20000, 2000, (2000,) * 10, dataclasses.replace(
        plans.IMAGES, height=32, width=32, long_side=32), plans.SYMMETRIC)
PHOTOS = dataclasses.replace(FACTS, images=dataclasses.replace(
    plans.IMAGES, height=375, width=500, same_size=False))


def test_small_images_keep_their_size():
  assert rules.image_size(FACTS, 'cpu').value == (32, 32)
  assert rules.validation_resize((32, 32), FACTS).value is None
  assert rules.crop((32, 32), FACTS, 30)[0].value == 'pad'
  assert rules.crop((32, 32), FACTS, 30)[1].value == 4


@pytest.mark.parametrize('device, side', [('cpu', 96), ('gpu', 224)])
def test_photos_are_resized_to_what_the_device_bears(device, side):
  assert rules.image_size(PHOTOS, device).value == (side, side)
  assert rules.validation_resize((224, 224), PHOTOS).value == 256
  crop, area = rules.crop((side, side), PHOTOS, 20)
  assert (crop.value, area.value) == ('random_resized', (0.35, 1.0))
  assert rules.crop((side, side), PHOTOS, 130)[1].value == (0.08, 1.0)


@pytest.mark.parametrize('images, device, batch, rate', [
    (20000, 'cpu', 64, 0.071), (20000, 'gpu', 128, 0.1),
    (400, 'cpu', 32, 0.05), (24, 'cpu', 2, 0.013), (1, 'gpu', 1, 0.0088)])
def test_an_epoch_has_some_steps(images, device, batch, rate):
  facts = dataclasses.replace(FACTS, num_train=images)
  assert rules.batch(facts, device).value == batch
  assert rules.learning_rate(batch).value == rate


def test_regularization_follows_images_and_passes():
  many = dataclasses.replace(FACTS, num_train=1_281_167)
  assert rules.weight_decay(FACTS).value == 5e-4
  assert rules.weight_decay(many).value == 8e-5
  two = dataclasses.replace(FACTS, class_images=(9, 9))
  assert rules.label_smoothing(FACTS).value == 0.1
  assert rules.label_smoothing(two).value == 0.0
  assert rules.mixup(20).value == 0.0
  assert rules.mixup(200).value == 0.2


def test_unequal_classes_are_noted():
  assert rules.imbalance(FACTS) is None
  unequal = dataclasses.replace(FACTS, class_images=(5, 50))
  assert '5 to 50 images' in rules.imbalance(unequal)


def test_networks_grow_along_the_ladder():
  costs = [rung.cost for rung in rules.LADDER]
  assert costs == sorted(costs)
  assert rules.REFERENCE.cost == 1
