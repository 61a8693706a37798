"""Writes a SavedModel for TensorFlow Serving and verifies its outputs."""

import json
import os
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Sequence
import uuid

from absl import logging
import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.export import (
  batching_parameters,
  classifier_signatures,
  comparison,
  compiled_signature,
  model_card,
  model_json,
  panoptic_signatures,
  serving_settings,
  warmup,
)
from axial_tf.files import model_folders
from axial_tf.keras2 import keras
from axial_tf.layers.attention import backends
from axial_tf.prediction import loaded_model


class _Row(NamedTuple):
  """The parts of an export of one task."""

  signatures: Callable[..., Dict[str, Any]]
  about: Callable[[Any], Dict[str, Any]]  # Its part of model.json.
  compare: Callable[..., comparison.Differences]
  runs_images_at_once: bool  # The network sees all of them at one size.


_ROWS = {
    model_folders.PANOPTIC: _Row(
        panoptic_signatures.build, model_json.panoptic,
        comparison.compare_segments, False),
    model_folders.CLASSIFICATION: _Row(
        classifier_signatures.build, model_json.classification,
        comparison.compare_classes, True),
}


def export_saved_model(
    inference: model_json.Inference, export_dir: str,
    metadata: Optional[Mapping[str, Any]] = None,
    version: Optional[int] = None,
    samples: Optional[Sequence[np.ndarray]] = None,
    settings: Optional[serving_settings.ServingSettings] = None) -> str:
  """Writes `<export_dir>/<version>/` for TensorFlow Serving, all or nothing.

  The version appears only after the SavedModel was reloaded and gave the same
  results as `inference` on sample images. The signatures are described in
  `panoptic_signatures` and `classifier_signatures`; `model.json` next to
  `saved_model.pb` holds the data's spec, the input rules and `metadata`;
  model_card.md is for people. Warm-up requests (with the extra 'serving' only)
  and batching parameters are for the server.

  Args:
    inference: the trained model.
    export_dir: folder of all versions; made if needed.
    metadata: more entries of `model.json`, such as 'metrics'; JSON types.
    version: positive integer; None takes the highest existing one plus 1.
    samples: uint8 RGB [height, width, 3] images for the comparison; None takes
      generated ones.
    settings: settings of the served model; None for the defaults.

  Returns:
    The path of the version's folder.

  Raises:
    errors.UserError: the version exists, the folder cannot be written, the
      model sees no image at `settings.compiled_size`, or the SavedModel does
      not agree with `inference`.
  """
  settings = settings or serving_settings.ServingSettings()
  compiled_signature.require_possible(
      inference, settings.compiled_size, settings.max_pixels)
  version_dir = _new_version_dir(export_dir, version)
  temporary = os.path.join(export_dir, f'writing-{uuid.uuid4().hex}')
  try:
    tf.io.gfile.makedirs(temporary)
    _write(inference, temporary, metadata or {}, settings)
    check(inference, temporary, samples)
    tf.io.gfile.rename(temporary, version_dir)
  except tf.errors.OpError as error:
    raise errors.UserError(
        f'{version_dir}: cannot be written ({error.message}); give another '
        f'--export_dir') from error
  finally:
    if tf.io.gfile.exists(temporary):
      tf.io.gfile.rmtree(temporary)
  return version_dir


def check(
    inference: model_json.Inference, version_dir: str,
    samples: Optional[Sequence[np.ndarray]] = None
) -> comparison.Differences:
  """Compares an export with the model that it was made from.

  Args:
    inference: the trained model.
    version_dir: folder of one exported version.
    samples: see `export_saved_model`.

  Raises:
    errors.UserError: they do not agree, or the SavedModel cannot be read.
  """
  with loaded_model.loading_errors(version_dir):
    differences = comparison.compare(
        inference, version_dir, samples or (), _ROWS[inference.task].compare)
  logging.info('exported against original model: %s', differences)
  differences.require_none()
  return differences


def _new_version_dir(export_dir: str, version: Optional[int]) -> str:
  if tf.io.gfile.exists(export_dir) and not tf.io.gfile.isdir(export_dir):
    raise errors.UserError(
        f'{export_dir}: is a file, expected a folder for exported versions')
  existing = model_folders.versions(export_dir)
  if version is None:
    version = max(existing, default=0) + 1
  if version < 1:
    raise errors.UserError(
        f'version: expected a positive integer, got {version}')
  version_dir = os.path.join(export_dir, str(version))
  if tf.io.gfile.exists(version_dir):
    raise errors.UserError(
        f'{version_dir}: exists already; give another version or delete it')
  return version_dir


def save(model: keras.Model, folder: str, signatures: Mapping[str, Any]
         ) -> None:
  """Writes a SavedModel of functions that run a model, for inference only.

  Args:
    model: model whose weights the functions use.
    folder: folder of the SavedModel.
    signatures: tf.functions by name.
  """
  # Only the weights are tracked: saving the Keras layers themselves would
  # trace each of them again, also in training mode.
  root = tf.Module(name='axial_tf')
  root.weights = model.variables
  with backends.use(model, 'matmul'):  # Stock servers do not compile.
    tf.saved_model.save(
        root, folder, signatures=signatures,
        options=tf.saved_model.SaveOptions(experimental_custom_gradients=False))


def _write(inference, folder: str, metadata: Mapping[str, Any], settings
           ) -> None:
  row = _ROWS[inference.task]
  save(inference.model, folder, row.signatures(inference, settings))
  content = {**metadata, **model_json.content(
      inference, row.about(inference), settings)}
  for name, text in (
      (model_folders.MODEL_JSON, json.dumps(content, indent=1) + '\n'),
      (model_folders.MODEL_CARD, model_card.text(content))):
    with tf.io.gfile.GFile(os.path.join(folder, name), 'w') as file:
      file.write(text)
  warmup.write(folder, settings.batch_sizes, settings.max_pixels)
  batching_parameters.write(
      folder, settings.batch_sizes,
      runs_images_at_once=row.runs_images_at_once)
