"""Finds the damaged record behind an error, whatever its type."""

from typing import ContextManager, Optional

import tensorflow as tf

from axial_tf.data.classification import records as classification_records
from axial_tf.data.common import record_checks
from axial_tf.data.panoptic import records
from axial_tf.files import image_decoding


def reading_errors(*patterns: Optional[str]) -> ContextManager[None]:
  """Returns `record_checks.reading_errors` for records of either type."""
  return record_checks.reading_errors(_decode, *patterns)


def _decode(serialized: tf.Tensor) -> None:
  """Decodes a record of either type, to see whether it can be decoded."""
  features = tf.train.Example.FromString(serialized.numpy()).features.feature
  if classification_records.LABEL in features:
    image_decoding.decode(
        classification_records.parse_classification_example(
            serialized)['encoded'])
  else:
    records.decode_panoptic_example(serialized)
