"""Defines the image classification task for the Model Garden's trainer."""

import dataclasses
from typing import Optional

import tensorflow as tf

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.data.classification import pipeline as classification_pipeline
from axial_tf.evaluation import top_k
from axial_tf.inference import classification as classifier_inference
from axial_tf.inference import compiled_network
from axial_tf.keras2 import keras
from axial_tf.models import classifier
from axial_tf.specs import class_spec
from axial_tf.tasks import trained_task
from axial_tf.training import (
  exchange,
  optimizers,
  progress,
  run_settings,
)


@dataclasses.dataclass(frozen=True)
class ClassificationTaskSettings:
  """Data and network of a classification task.

  Label smoothing, mixup and augmentation policies belong to the data, drop-path
  and dropout to the model.

  Attributes:
    data: records and their augmentation.
    model: the network.
    num_classes: number of classes of the last layer, which must match the data;
      None takes as many as the data has.
    spec: path of a JSON file with the classes; None takes the file next to the
      training records, or the classes of tensorflow-datasets.
  """

  data: classification_pipeline.ClassificationDataSettings
  model: classifier.ClassifierSettings
  num_classes: Optional[int] = None
  spec: Optional[settings_lib.Path] = None

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        self.num_classes is None or self.num_classes >= 2, self, 'num_classes',
        'None or an int >= 2')


def load_spec(settings: ClassificationTaskSettings) -> class_spec.ClassSpec:
  """Returns the classes of the data.

  Raises:
    errors.UserError: there is no such data, or its number of classes is not
      that of the last layer.
  """
  if settings.spec is not None:
    spec = class_spec.ClassSpec.load(settings.spec)
  else:
    spec = classification_pipeline.load_spec(settings.data)
  if settings.num_classes not in (None, spec.num_classes):
    raise errors.UserError(
        f'ClassificationTaskSettings.num_classes: expected the '
        f'{spec.num_classes} classes of the data {spec.name!r} '
        f'({spec.summary()}), got {settings.num_classes}; set '
        f'NUM_CLASSES = {spec.num_classes}, or give the data that the model '
        f'was made for')
  return spec


def build_model(settings: ClassificationTaskSettings,
                spec: class_spec.ClassSpec) -> classifier.Classifier:
  """Returns the network with its variables created."""
  model = classifier.Classifier(settings.model, spec.num_classes)
  side = 2 * settings.model.backbone.output_stride + 1
  model(tf.zeros([1, side, side, 3]), training=False)
  return model


def build_inference(
    settings: ClassificationTaskSettings, spec: class_spec.ClassSpec, model
) -> classifier_inference.ClassifierInference:
  """Returns the same image-to-class inference that an export runs."""
  return classifier_inference.ClassifierInference(
      model, spec, settings.data.image_size, settings.data.validation_resize)


class ClassificationTask(trained_task.TrainedTask):
  """Training and validation steps of a classifier."""

  BEST_METRIC = 'top1'
  VALUES = ('cross_entropy', 'top1')

  def __init__(
      self, settings: ClassificationTaskSettings,
      run: run_settings.RunSettings, optimizer: optimizers.OptimizerSettings,
      logging_dir: Optional[str] = None):
    super().__init__(
        settings, load_spec(settings), run, optimizer, logging_dir)
    self._compiled = None
    self._bar = None

  def build_model(self) -> keras.Model:
    model = self._prepared(build_model(self._settings, self.spec))
    self._compiled = compiled_network.compiled(model)
    return model

  def build_inputs(self, params, input_context=None) -> tf.data.Dataset:
    """Returns training batches if `params` is 'train', else validation ones."""
    if params == 'train':
      return classification_pipeline.train_dataset(
          self._settings.data, self.spec, self._run.global_batch_size,
          input_context=input_context, seed=self._run.seed,
          first_step=self.first_step)
    return classification_pipeline.validation_dataset(
        self._settings.data, self.spec, self.validation_batch_size,
        input_context=input_context)

  def training_values(self, inputs, model):
    logits = model(inputs['image'], training=True)
    cross_entropy = tf.nn.softmax_cross_entropy_with_logits(
        inputs['target'], logits)
    right = tf.equal(top_k.ranks(logits, inputs['label']), 0)
    return {'total_loss': cross_entropy, 'cross_entropy': cross_entropy,
            'top1': tf.cast(right, tf.float32)}

  @tf.autograph.experimental.do_not_convert
  def validation_step(self, inputs, model, metrics=None):
    """Classifies a replica's images; scoring happens on the host."""
    del metrics
    logits = self._logits(inputs['image'], model)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        inputs['label'], logits)
    return {'labels': inputs['label'], 'losses': tf.cast(losses, tf.float32),
            'ranks': top_k.ranks(logits, inputs['label'])}

  def _logits(self, images, model):
    """Classifies a batch of images, which may be empty.

    The last batch may leave a replica without images: it then gets an empty
    tensor, on which convolutions fail.
    """
    size = self._settings.data.image_size
    count = tf.shape(images)[0]
    if self._validation_compiles(images):
      return self._compiled(self._whole_share(images), training=False)[:count]
    blank = tf.zeros([1, *size, images.shape[-1] or 3], images.dtype)
    images = tf.cond(tf.equal(count, 0), lambda: blank, lambda: images)
    images = tf.ensure_shape(images, [None, *size, 3])
    return model(images, training=False)[:count]

  def aggregate_logs(self, state, step_logs):
    """Adds one step's images, of all replicas, to the counts."""
    if state is None:
      state = top_k.TopK(self.spec)
      self._bar = progress.validation_bar()
    for replica in zip(*(step_logs[key]
                         for key in ('labels', 'ranks', 'losses'))):
      state.add(*(tensor.numpy() for tensor in replica))
      self._bar.update(replica[0].shape[0])
    return state

  def reduce_aggregated_logs(self, aggregated_logs, global_step=None):
    """Returns 'top1', 'top5' (in 0..1) and the mean 'cross_entropy'.

    'top5' is left out with 5 classes or fewer. All workers get the scores of
    all images.
    """
    self._bar.close()
    counts, *others = exchange.gather(aggregated_logs)
    for other in others:
      counts.merge(other)
    self.validation_table = counts.format_table()
    return counts.scores()
