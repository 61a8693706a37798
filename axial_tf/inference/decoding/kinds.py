"""Lists the decodings by the settings of their merging."""

from typing import Union

from axial_tf.inference.decoding import (
  affinity_decoding,
  center_decoding,
  decoding,
  keypoint_decoding,
)
from axial_tf.panoptic import merging_settings
from axial_tf.panoptic.deeperlab import decoding_settings
from axial_tf.panoptic.ssap import cascade_settings
from axial_tf.specs import dataset_spec

MergingSettings = Union[
    merging_settings.MergingSettings,
    decoding_settings.DeeperLabDecodingSettings,
    cascade_settings.CascadeSettings]

_KINDS = {
    merging_settings.MergingSettings: center_decoding.CenterDecoding,
    decoding_settings.DeeperLabDecodingSettings: (
        keypoint_decoding.KeypointDecoding),
    cascade_settings.CascadeSettings: affinity_decoding.AffinityDecoding,
}


def build(settings: MergingSettings, spec: dataset_spec.DatasetSpec
          ) -> decoding.Decoding:
  """Returns the decoding that the settings belong to."""
  return _KINDS[type(settings)](settings, spec)
