"""The shipped specs of Cityscapes and Mapillary Vistas."""

from cityscapesscripts.helpers import labels as cityscapes_labels
import pytest

from axial_tf.specs import dataset_spec
from tests.data_prep import tiny_vistas


def test_cityscapes_matches_its_scripts():
  spec = dataset_spec.DatasetSpec.load('cityscapes')
  expected = {
      label.id: (label.trainId, label.name, label.hasInstances, label.color)
      for label in cityscapes_labels.labels if not label.ignoreInEval}
  assert {c.id: (c.train_id, c.name, c.is_thing, c.color)
          for c in spec.categories} == expected
  assert spec.thing_ids == tuple(range(11, 19))
  assert spec.void_label == 255_000


@pytest.mark.parametrize('version, num_things, num_stuff', [
    ('v1.2', 37, 28), ('v2.0', 70, 46)])
def test_mapillary_vistas(version, num_things, num_stuff):
  spec = dataset_spec.DatasetSpec.load(f'mapillary_{version}')
  assert (len(spec.thing_ids), len(spec.stuff_ids)) == (num_things, num_stuff)
  assert [c.id for c in spec.categories] == list(
      range(1, num_things + num_stuff + 1))
  assert [c.train_id for c in spec.categories] == [
      c.id - 1 for c in spec.categories]
  assert spec.void_label == 255_000
  assert spec.merging_settings().stuff_area_limit == 4096
  # config.json lists all classes by name; so do the evaluated ones among them.
  names = [label['name'] for label in tiny_vistas.config(version)['labels']]
  assert names[:-1] == sorted(names[:-1], key=_without_light) and (
      names[-1] == 'void--unlabeled')


def _without_light(name):
  """The names are in order, except those of traffic lights in v2.0."""
  light = 'object--traffic-light--'
  return light if name.startswith(light) else name


def test_things_and_stuff_of_mapillary_vistas():
  spec = dataset_spec.DatasetSpec.load('mapillary_v1.2')
  kinds = {c.name: c.is_thing for c in spec.categories}
  for name in ('animal--bird', 'construction--flat--crosswalk-plain',
               'human--person', 'marking--crosswalk-zebra',
               'object--vehicle--car', 'object--vehicle--wheeled-slow'):
    assert kinds[name]
  for name in ('nature--sky', 'object--pothole', 'object--vehicle--on-rails',
               'void--car-mount', 'void--ego-vehicle', 'marking--general'):
    assert not kinds[name]
