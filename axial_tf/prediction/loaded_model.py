"""A model from a folder: an export, or a training run with its checkpoints."""

import os
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf.files import paths, run_files, versions
from axial_tf.inference import multi_scale as multi_scale_lib
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.specs import class_spec, dataset_spec

_Function = Callable[[tf.Tensor], Dict[str, Any]]


class LoadedModel(NamedTuple):
  """What can be done with a model, wherever it came from.

  Attributes:
    spec: the categories it knows.
    predict: `panoptic_inference.PanopticInference.predict`.
    heads: images uint8 [batch, height, width, 3] to 'center_heatmap' [batch,
      height, width] and 'offset' [..., 2], without resizing them.
    resized: images to the size at which `predict` shows them to the network.
    inference: the model itself; None for an export, whose layers are gone.
  """
  spec: dataset_spec.DatasetSpec
  predict: _Function
  heads: _Function
  resized: Callable[[tf.Tensor], tf.Tensor]
  inference: Optional[panoptic_inference.PanopticInference]


def load(
    path: str,
    multi_scale: Optional[multi_scale_lib.MultiScaleSettings] = None
) -> LoadedModel:
  """Loads a model.

  Args:
    path: path of an export (the highest version is taken), of one version in
      it, or of a training run's model_dir (its newest checkpoint is taken).
    multi_scale: in which views a training run's model sees images; None for
      those of its configuration. An export has its own for good.

  Raises:
    errors.UserError: none of these is there, or it cannot be read, or it is an
      export and `multi_scale` is given.
  """
  path = _find(path)
  if versions.is_saved_model(path):
    if multi_scale is not None:
      raise errors.UserError(
          f'{path}: is an export, whose scales and flips are fixed; export '
          f'the training run again with the ones you want, or give its '
          f'model_dir')
    return _load_version(path)
  return _load_run(path, multi_scale)


class LoadedClassifier(NamedTuple):
  """What can be done with a classifier, wherever it came from.

  Attributes:
    spec: the classes it knows.
    probabilities: probabilities of images uint8 RGB [height, width, 3] of any
      sizes, float32 [images, classes].
  """
  spec: class_spec.ClassSpec
  probabilities: Callable[[Sequence[np.ndarray]], np.ndarray]


def load_classifier(path: str) -> LoadedClassifier:
  """Loads a classifier; `path` as in `load`.

  Raises:
    errors.UserError: there is none, or it cannot be read.
  """
  path = _find(path)
  if versions.is_saved_model(path):
    return _load_classifier_version(path)
  from axial_tf.experiment import restore

  inference = restore.load_classifier(path)
  traced = inference.traced()
  classify = tf.function(traced.classify, autograph=False, input_signature=[
      tf.TensorSpec([None, *inference.image_size, 3], tf.float32)])

  def probabilities(images):
    return classify(
        tf.stack([traced.prepare(image) for image in images])).numpy()

  return LoadedClassifier(inference.spec, probabilities)


def _find(path: str) -> str:
  """Returns the folder of a run or of a version of an export."""
  path = os.fspath(path)
  if not tf.io.gfile.isdir(path):
    found = 'is a file' if tf.io.gfile.exists(path) else 'no such folder'
    raise errors.UserError(
        f'{path}: {found}; expected the folder of an export or a training '
        f'run\'s model_dir')
  existing = versions.versions(path)
  if existing and not versions.is_saved_model(path):
    return os.path.join(path, str(existing[-1]))
  if not versions.is_saved_model(path) and not tf.io.gfile.exists(
      os.path.join(path, run_files.CONFIG)):
    raise errors.UserError(
        f'{path}: holds no model; expected an export (<version>/'
        f'{versions.SAVED_MODEL}) or a training run\'s model_dir (config.gin '
        f'and checkpoints)')
  return path


def _load_classifier_version(path: str) -> LoadedClassifier:
  """Loads one version of a classifier's export."""
  content = versions.read_model_json(path)
  if 'class_spec' not in content:
    raise errors.UserError(
        f'{path}: expected the export of a classifier, got one of panoptic '
        f'segmentation; use axial_tf.Predictor for it')
  spec = class_spec.ClassSpec.from_json(
      content['class_spec'], source=os.path.join(path, versions.MODEL_JSON))
  try:
    loaded = tf.saved_model.load(paths.literal(path))
    loaded.signatures['probabilities'].structured_outputs['probabilities']
  except (OSError, LookupError, TypeError, tf.errors.OpError) as error:
    raise _damaged(path, error) from error

  def probabilities(images):
    return np.concatenate([
        loaded.signatures['probabilities'](
            image_tensor=tf.constant(image)[tf.newaxis])['probabilities']
        for image in images])

  return LoadedClassifier(spec, probabilities)


def _load_version(path: str) -> LoadedModel:
  """Loads one version of an export."""
  content = versions.read_model_json(path)
  if 'class_spec' in content:
    raise errors.UserError(
        f'{path}: expected an export of panoptic segmentation, got one of '
        f'classification; see axial_tf.ImageClassifier for what it can do')
  try:
    spec = dataset_spec.DatasetSpec.from_json(
        content['dataset_spec'], source=os.path.join(path, versions.MODEL_JSON))
    rules = content['input_rules']
    max_long_side, enlarge = rules['max_long_side'], rules['enlarge']
    loaded = tf.saved_model.load(paths.literal(path))
    loaded.signatures['image_tensor'].structured_outputs['num_segments']
    loaded.signatures['heads'].structured_outputs['offset']
  except (OSError, LookupError, TypeError, tf.errors.OpError) as error:
    raise _damaged(path, error) from error

  # Going through `loaded` keeps the variables alive with the functions.
  def predict(images):
    return loaded.signatures['image_tensor'](image_tensor=images)

  def heads(images):
    return loaded.signatures['heads'](image_tensor=images)

  def resized(images):
    return panoptic_inference.resized(images, max_long_side, enlarge)

  return LoadedModel(spec, predict, heads, resized, None)


def _damaged(path: str, error: Exception) -> errors.UserError:
  return errors.UserError(
      f'{path}: cannot be loaded as a SavedModel of axial_tf.export '
      f'({type(error).__name__}); it may be damaged: export the model again')


def _load_run(path: str, multi_scale) -> LoadedModel:
  """Builds the model of a training run with its newest checkpoint."""
  # Training brings gin and the Model Garden, which an export does without.
  from axial_tf.experiment import restore

  inference = restore.load_inference(path)
  if multi_scale is not None:
    inference.multi_scale = multi_scale
  traced = inference.traced()
  signature = [tf.TensorSpec([None, None, None, 3], tf.uint8)]

  def resized(images):
    return panoptic_inference.resized(
        images, inference.max_long_side, inference.enlarge)

  return LoadedModel(
      inference.spec, tf.function(
          traced.predict, input_signature=signature, autograph=False),
      tf.function(
          traced.__call__, input_signature=signature, autograph=False), resized,
      inference)
