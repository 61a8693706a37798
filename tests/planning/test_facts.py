"""Records are measured as they are, and unfit ones refused in one line."""

import json
import math

import numpy as np
import pytest

from axial_tf import errors
from axial_tf.data.common import record_files
from axial_tf.planning import class_facts, panoptic_facts, record_folder
from tests import tiny_classes
from tests.planning import tiny_scenes


def _measure(folder, **options):
  return panoptic_facts.measure(
      record_folder.find(tiny_scenes.write(folder, **options)))


def test_instances_classes_and_images_are_measured(tmp_path):
  facts = _measure(tmp_path)
  area = (tiny_scenes.label(1) == 1).sum()
  diameter = 2 * math.sqrt(area / math.pi)
  things = facts.instances
  assert (facts.num_train, facts.num_validation) == (4, 4)
  assert things.count == 0 + 1 + 2 + 3
  assert things.diameters == pytest.approx([diameter] * 4)
  assert things.extent == 2 * tiny_scenes.RADIUS + 1
  assert things.gap == 12
  assert (things.in_image, things.most_in_image) == (1, 3)
  assert things.small_area == area
  assert facts.small_stuff > 800
  shares = {c.name: c.pixel_share for c in facts.classes}
  assert shares['lower'] == 0.5
  assert shares['disk'] == pytest.approx(6 * area / 4 / 48 ** 2)
  assert facts.images.same_size and facts.images.grey_share == 0
  assert (facts.images.height, facts.images.width) == (48, 48)
  assert facts.void_share == 0


def test_crowds_and_void_are_no_instances(tmp_path):
  panoptic = tiny_scenes.label(2)
  panoptic[panoptic == 1] = 0  # A crowd of class 0.
  panoptic[:4] = tiny_scenes.SPEC.void_label
  facts = _measure(tmp_path, labels=[panoptic], grey=True)
  assert facts.crowds == 1
  assert facts.instances.count == 1
  assert facts.instances.gap is None
  assert facts.void_share == pytest.approx(4 / 48)
  assert facts.images.grey_share == 1


def test_no_things_and_no_stuff(tmp_path):
  (tmp_path / 'a').mkdir()
  assert _measure(tmp_path / 'a', labels=[tiny_scenes.label(0)]
                  ).instances is None
  (tmp_path / 'b').mkdir()
  things = np.ones([20, 20], np.int32)
  things[10:] = 2
  facts = _measure(tmp_path / 'b', labels=[things])
  assert facts.small_stuff is None
  assert facts.instances.count == 2


def test_images_of_one_color_are_refused(tmp_path):
  with pytest.raises(errors.UserError, match='one and the same color'):
    _measure(tmp_path, plain=True)


@pytest.mark.parametrize('splits, message', [
    (('train',), "split 'val', found train;.*--val_fraction"),
    (('val',), "split 'train', found val;.*--train_split"),
    (('a', 'b'), "split 'train', found a, b"),
])
def test_a_missing_split_is_named(tmp_path, splits, message):
  with pytest.raises(errors.UserError, match=message):
    record_folder.find(tiny_scenes.write(tmp_path, splits=splits))


def test_splits_of_other_names_can_be_given(tmp_path):
  tiny_scenes.write(tmp_path, splits=('a', 'b'))
  found = record_folder.find(str(tmp_path), 'b', 'a')
  assert (found.train_split, found.validation_split) == ('b', 'a')
  with pytest.raises(errors.UserError, match="split 'c'"):
    record_folder.find(str(tmp_path), 'c', 'a')


def test_a_folder_without_spec_or_records_is_refused(tmp_path):
  tiny_scenes.write(tmp_path)
  info = tmp_path / record_files.DATASET_INFO
  content = json.loads(info.read_text())
  info.write_text(json.dumps({**content, 'splits': {'train': {}, 'val': {}}}))
  with pytest.raises(errors.UserError, match='num_images'):
    record_folder.find(str(tmp_path))
  info.write_text('[]')
  with pytest.raises(errors.UserError, match='not readable'):
    record_folder.find(str(tmp_path))
  info.unlink()
  with pytest.raises(errors.UserError, match='holds the spec'):
    record_folder.find(str(tmp_path))
  with pytest.raises(errors.UserError, match='tfds:coco'):
    record_folder.find('tfds:coco')


def test_a_split_of_another_spec_is_refused(tmp_path):
  tiny_scenes.write(tmp_path)
  info = tmp_path / record_files.DATASET_INFO
  content = json.loads(info.read_text())
  content['spec']['categories'] = content['spec']['categories'][:1]
  info.write_text(json.dumps(content))
  with pytest.raises(errors.UserError, match='train id 1'):
    record_folder.find(str(tmp_path))


def test_classification_is_measured(tmp_path):
  folder = record_folder.find(tiny_classes.write(tmp_path))
  facts = class_facts.measure(folder)
  assert not folder.is_panoptic
  assert facts.class_images == (8, 8, 8)
  assert (facts.images.height, facts.images.width) == (16, 16)
  assert facts.looks.mirrored is None  # 8 images of a class are too few.
