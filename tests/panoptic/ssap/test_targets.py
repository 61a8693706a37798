"""Targets of SSAP: kinds of pixels, classes, and heads that know a label."""

import numpy as np
import pytest
import tensorflow as tf

from axial_tf.panoptic.ssap import cascade_settings, decoding, targets

_VOID, _DIVISOR, _THINGS = 3, 100, (1, 2)


def _label():
  """Stuff, a crowd, a small and a large instance, and void."""
  label = np.zeros([48, 70], np.int32)
  label[2:6, 3:8] = 101
  label[10:40, 10:35] = 102
  label[12:30, 40:60] = 201
  label[44:, :30] = 100
  label[:, 66:] = _VOID * _DIVISOR
  return label


def _targets(label, **settings):
  settings = targets.AffinityTargetSettings(**settings)
  maps = targets.compact(
      tf.constant(label), thing_ids=_THINGS, label_divisor=_DIVISOR,
      ignore_label=_VOID, settings=settings)
  return {name: values.numpy()[0] for name, values in targets.expand(
      {name: values[tf.newaxis] for name, values in maps.items()},
      label_divisor=_DIVISOR, ignore_label=_VOID, settings=settings).items()}


def test_kinds_and_classes():
  label = _label()
  found = _targets(label)
  is_crowd, is_void = label == 100, label == 300
  np.testing.assert_array_equal(found['is_counted'], ~is_crowd & ~is_void)
  np.testing.assert_array_equal(
      found['is_instance'], np.isin(label, (101, 102, 201)))
  np.testing.assert_array_equal(
      found['semantic'], np.where(is_crowd, _VOID, label // _DIVISOR))
  assert (found['semantic_weight'] == 1).all()


def test_small_instances_may_weigh_more():
  label = _label()
  found = _targets(label, small_instance_weight=3.0, small_instance_area=21)
  np.testing.assert_array_equal(
      found['semantic_weight'], np.where(label == 101, 3.0, 1.0))
  np.testing.assert_array_equal(
      found['is_instance'], _targets(label)['is_instance'])


@pytest.mark.parametrize('compiled', [False, True])
def test_in_a_pipeline(compiled):
  label = tf.constant(_label())
  maps = tf.function(lambda: targets.compact(
      label, thing_ids=_THINGS, label_divisor=_DIVISOR, ignore_label=_VOID,
      compiled=compiled))()
  assert maps['kind'].dtype == tf.uint8
  assert set(np.unique(maps['kind'])) == {0, 1, 2, 3}


def test_heads_that_know_the_label_give_it_back():
  label = np.where(_label() == 100, 0, _label())
  heads = {name: values[0].numpy() for name, values in targets.heads(
      tf.constant(label)[tf.newaxis], thing_ids=_THINGS,
      label_divisor=_DIVISOR, ignore_label=_VOID).items()}
  assert set(heads) == set(decoding.HEADS)
  found = decoding.decode(
      heads, label // _DIVISOR, classes=4, thing_ids=_THINGS,
      label_divisor=_DIVISOR, void_label=_VOID * _DIVISOR,
      settings=cascade_settings.CascadeSettings(stuff_area_limit=0))
  pairs = set(zip(found.ravel().tolist(), label.ravel().tolist()))
  # One to one, but for the numbers of instances.
  assert len(pairs) == len({b for _, b in pairs}) == len({a for a, _ in pairs})
