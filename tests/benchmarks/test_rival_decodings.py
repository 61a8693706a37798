"""Rows differ from the run's own decoding in what they are called by."""

import dataclasses

import pytest

from axial_tf import errors
from axial_tf.panoptic import merging_settings
from axial_tf.panoptic.deeperlab import decoding_settings
from axial_tf.panoptic.ssap import cascade_settings
from benchmarks import rival_decodings


@pytest.mark.parametrize('settings', [
    decoding_settings.DeeperLabDecodingSettings(max_instances=7),
    cascade_settings.CascadeSettings(max_instances=7)])
def test_ways_keep_the_other_settings(settings):
  first, *others = rival_decodings.ways(settings).values()
  assert first == settings and len(others) >= 4
  for other in others:
    assert 1 <= sum(
        getattr(other, field.name) != getattr(settings, field.name)
        for field in dataclasses.fields(settings)) <= 2
    assert other.max_instances == 7


def test_other_networks_are_refused():
  with pytest.raises(errors.UserError, match='DeeperLab or an SSAP'):
    rival_decodings.ways(merging_settings.MergingSettings())
