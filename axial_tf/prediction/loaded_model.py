"""Loads models from folders: exports, or training runs with checkpoints."""

import contextlib
import os
import typing
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Union

from google.protobuf import message
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from axial_tf import errors
from axial_tf.files import model_folders, paths
from axial_tf.inference import classification as classifier_inference
from axial_tf.inference import multi_scale as multi_scale_lib
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.layers import compilation
from axial_tf.specs import class_spec, dataset_spec, specs

_Function = Callable[[tf.Tensor], Dict[str, Any]]


class Segmenter(NamedTuple):
  """Common interface of panoptic models loaded from runs and exports.

  Attributes:
    spec: categories of the model.
    predict: `panoptic_inference.PanopticInference.predict`.
    heads: images uint8 [batch, height, width, 3] to what
      `panoptic_inference.PanopticInference.heads` returns.
    head_names: their names.
    max_long_side: see `panoptic_inference.PanopticInference`.
    enlarge: see there, too.
    inference: the model itself; None for an export, which has no Keras layers.
  """
  spec: dataset_spec.DatasetSpec
  predict: _Function
  heads: _Function
  head_names: Sequence[str]
  max_long_side: Optional[int]
  enlarge: bool
  inference: Optional[panoptic_inference.PanopticInference]

  @classmethod
  def of_run(cls, inference: panoptic_inference.PanopticInference,
             mode: compilation.Mode = 'auto') -> 'Segmenter':
    """Returns the interface of a training run's model."""
    traced = inference.traced()
    signature = [tf.TensorSpec([None, None, None, 3], tf.uint8)]
    predict_any, heads = (
        tf.function(function, input_signature=signature, autograph=False)
        for function in (traced.predict, traced.heads))
    predict_compiled = tf.function(
        inference.compiled().predict, autograph=False)
    is_compiled = compilation.Recurring(mode)

    def predict(images):
      return (predict_compiled if is_compiled(images.shape)
              else predict_any)(images)

    return cls(inference.spec, predict, heads, inference.decoding.HEADS,
               inference.max_long_side, inference.enlarge, inference)

  @classmethod
  def of_export(cls, loaded, spec: dataset_spec.DatasetSpec,
                rules: Dict[str, Any]) -> 'Segmenter':
    """Returns the interface of a SavedModel, by the rules in its model.json."""
    _require_output(loaded, 'image_tensor', 'num_segments')
    _require_output(loaded, 'heads', 'semantic_probabilities')

    # The reference to `loaded` keeps the variables alive.
    def predict(images):
      return loaded.signatures['image_tensor'](image_tensor=images)

    def heads(images):
      return loaded.signatures['heads'](image_tensor=images)

    return cls(spec, predict, heads,
               tuple(loaded.signatures['heads'].structured_outputs),
               rules['max_long_side'], rules['enlarge'], None)

  def resized(self, images: tf.Tensor) -> tf.Tensor:
    """Returns images at the size at which `predict` runs the network."""
    return panoptic_inference.resized(
        images, self.max_long_side, self.enlarge)


class Classifier(NamedTuple):
  """Common interface of classifiers loaded from runs and exports.

  Attributes:
    spec: classes of the model.
    probabilities: images uint8 RGB [height, width, 3] of any sizes to float32
      [images, classes].
  """
  spec: class_spec.ClassSpec
  probabilities: Callable[[Sequence[np.ndarray]], np.ndarray]

  @classmethod
  def of_run(cls, inference: classifier_inference.ClassifierInference,
             mode: compilation.Mode = 'auto') -> 'Classifier':
    """Returns the interface of a training run's model."""
    traced = inference.traced()
    classify_any = tf.function(
        traced.classify, autograph=False, input_signature=[
            tf.TensorSpec([None, *inference.image_size, 3], tf.float32)])
    classify_compiled = tf.function(
        inference.compiled().classify, autograph=False)
    is_compiled = compilation.Recurring(mode)

    def probabilities(images):
      prepared = tf.stack([traced.prepare(image) for image in images])
      return (classify_compiled if is_compiled(prepared.shape)
              else classify_any)(prepared).numpy()

    return cls(inference.spec, probabilities)

  @classmethod
  def of_export(cls, loaded, spec: class_spec.ClassSpec, rules: Dict[str, Any]
                ) -> 'Classifier':
    """Returns the interface of a SavedModel."""
    del rules  # Built into the graph.
    _require_output(loaded, 'probabilities', 'probabilities')

    def probabilities(images):
      return np.concatenate([
          loaded.signatures['probabilities'](
              image_tensor=tf.constant(image)[tf.newaxis])['probabilities']
          for image in images])

    return cls(spec, probabilities)


_INTERFACES = {
    model_folders.PANOPTIC: Segmenter,
    model_folders.CLASSIFICATION: Classifier,
}


def load(
    path: str, task: model_folders.Task,
    multi_scale: Optional[multi_scale_lib.MultiScaleSettings] = None,
    mode: compilation.Mode = 'auto') -> Union[Segmenter, Classifier]:
  """Loads a model.

  Args:
    path: path of an export (the highest version is used), of one version in
      it, or of a training run's model_dir (its newest checkpoint is used).
    task: task that the model must have.
    multi_scale: views over which a training run's model averages; None for
      those of its configuration. Those of an export are fixed.
    mode: whether XLA compiles a training run's model, see `compilation`.

  Raises:
    errors.UserError: there is no model, it cannot be read, it is a model of
      another task, the mode is unknown, or it is an export and `multi_scale`
      or 'always' is given.
  """
  if mode not in typing.get_args(compilation.Mode):
    raise errors.UserError(
        f"compile: expected 'auto', 'always' or 'never', got {mode!r}")
  folder = model_folders.find(path)
  folder.require(task)
  if not folder.is_export:
    # Training needs gin and the Model Garden, which an export does not.
    from axial_tf.experiment import restore

    inference = restore.load_inference(folder.path)
    if multi_scale is not None:
      inference.multi_scale = multi_scale
    return _INTERFACES[task].of_run(inference, mode)
  if multi_scale is not None:
    raise errors.UserError(
        f'{folder.path}: is an export, whose scales and flips are fixed; '
        f'export the training run again with the ones you want, or give its '
        f'model_dir')
  if mode == 'always':
    raise errors.UserError(
        f"{folder.path}: is an export, which runs uncompiled here; give the "
        f"training run's model_dir to compile it, or leave compile at 'auto'")
  return _load_version(folder.path, task)


def _load_version(path: str, task: model_folders.Task
                  ) -> Union[Segmenter, Classifier]:
  """Loads one version of an export."""
  content = model_folders.read_model_json(path)
  with loading_errors(path):
    spec = specs.OF_TASK[task].from_json(
        content[task.spec],
        source=os.path.join(path, model_folders.MODEL_JSON))
    return _INTERFACES[task].of_export(
        tf.saved_model.load(paths.literal(path)), spec, content['input_rules'])


@contextlib.contextmanager
def loading_errors(path: str):
  """Turns the errors of a damaged SavedModel into a UserError."""
  try:
    yield
  except errors.UserError:
    raise
  except (OSError, LookupError, TypeError, ValueError, RuntimeError,
          tf.errors.OpError) as error:
    version = _tensorflow_version(path)
    if isinstance(error, RuntimeError) and version != tf.__version__:
      reason, *_ = errors.first_line(error).split('. ')
      raise errors.UserError(
          f'{path}: was exported with TensorFlow {version} and cannot be '
          f'loaded with this TensorFlow {tf.__version__} ({reason}); load it '
          f'with that version, or export the model again with this one'
      ) from error
    raise errors.UserError(
        f'{path}: cannot be loaded as a SavedModel of axial_tf.export '
        f'({type(error).__name__}); it may be damaged: export the model again'
    ) from error


def _tensorflow_version(path: str) -> Optional[str]:
  """Returns the version that wrote a SavedModel; None if it is damaged."""
  try:
    file_name = os.path.join(path, model_folders.SAVED_MODEL)
    with tf.io.gfile.GFile(paths.literal(file_name), 'rb') as file:
      content = saved_model_pb2.SavedModel.FromString(file.read())
    return content.meta_graphs[0].meta_info_def.tensorflow_version
  except (IndexError, message.DecodeError, tf.errors.OpError):
    return None


def _require_output(loaded, signature: str, output: str) -> None:
  """Raises a LookupError for a SavedModel without this output."""
  loaded.signatures[signature].structured_outputs[output]
