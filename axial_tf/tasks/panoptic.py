"""Defines the panoptic segmentation task for the Model Garden's trainer."""

import dataclasses
from typing import Dict, Mapping, Optional

import numpy as np
import tensorflow as tf

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.data.common import resizing
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.data.panoptic import training_batch
from axial_tf.evaluation import (
  instance_ap,
  label_maps,
  mean_iou,
  panoptic_quality,
  parsing_covering,
)
from axial_tf.inference import multi_scale as multi_scale_lib
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.inference.decoding import kinds as decodings
from axial_tf.keras2 import keras
from axial_tf.layers import padding
from axial_tf.models import panoptic_networks
from axial_tf.panoptic import losses as losses_lib
from axial_tf.panoptic import segments as segments_lib
from axial_tf.specs import dataset_spec
from axial_tf.tasks import trained_task
from axial_tf.tasks.methods import kinds
from axial_tf.training import (
  exchange,
  optimizers,
  progress,
  run_settings,
)
from axial_tf.visualize.tensorboard import (
  training_pictures,
  validation_pictures,
)

# Inputs that a validation step returns unchanged, its outputs for each image,
# and those with `instance_ap`.
_PASSED_KEYS = (
    'panoptic', 'height', 'width', 'raw_height', 'raw_width', 'place')
_IMAGE_KEYS = ('prediction', *_PASSED_KEYS)
_SCORE_KEYS = ('segment_ids', 'segment_scores', 'num_segments')


@dataclasses.dataclass(frozen=True)
class PanopticTaskSettings:
  """Data, network, losses and merging of a panoptic task.

  Attributes:
    spec: name of a shipped dataset spec or path of a JSON file.
    data: records and their augmentation.
    model: the network.
    losses: weights of the losses, of the network's kind.
    merging: settings of the merging of heads into a panoptic map, of the
      network's kind; None takes the spec's for Panoptic-DeepLab, else the
      defaults.
    multi_scale: views of an image that validation and exports average over.
    instance_ap: whether validation also reports COCO's AP of the things, which
      takes longer than the other scores.
    tensorboard_images: number of images drawn for TensorBoard: training images
      when a run starts, and the first validation images at each validation.
  """

  spec: settings_lib.Path
  data: panoptic_pipeline.PanopticDataSettings
  model: panoptic_networks.PanopticSettings
  losses: kinds.LossSettings = losses_lib.LossSettings()
  merging: Optional[decodings.MergingSettings] = None
  multi_scale: multi_scale_lib.MultiScaleSettings = (
      multi_scale_lib.MultiScaleSettings())
  instance_ap: bool = False
  tensorboard_images: int = 4

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(
        self.tensorboard_images >= 0, self, 'tensorboard_images',
        'an int >= 0')
    misfit = kinds.of(self.model).misfit(
        self.losses, self.data.targets, self.merging)
    if misfit is not None:
      name, expected, given = misfit
      raise errors.UserError(
          f'{name}: expected @{expected.__name__}() for the model '
          f'{type(self.model).__name__}, got {given.__name__}')


def load_spec(settings: PanopticTaskSettings) -> dataset_spec.DatasetSpec:
  """Returns the categories of the data.

  Raises:
    errors.UserError: there is no such spec, or it is not valid.
  """
  return dataset_spec.DatasetSpec.load(settings.spec)


def merging_settings(
    settings: PanopticTaskSettings, spec: dataset_spec.DatasetSpec
) -> decodings.MergingSettings:
  """Returns the settings of the merging, configured or by default."""
  return settings.merging or kinds.of(settings.model).default_merging(spec)


def build_inference(
    settings: PanopticTaskSettings, spec: dataset_spec.DatasetSpec, model
) -> panoptic_inference.PanopticInference:
  """Returns the image-to-panoptic inference of validation and export."""
  return panoptic_inference.PanopticInference(
      model, spec, merging_settings(settings, spec),
      max_long_side=settings.data.max_long_side,
      enlarge=settings.data.enlarge, multi_scale=settings.multi_scale)


def build_model(
    settings: PanopticTaskSettings, spec: dataset_spec.DatasetSpec
) -> keras.Model:
  """Returns the network with its variables created."""
  model = panoptic_networks.build(settings.model, spec.num_classes)
  side = 2 * settings.model.backbone.output_stride + 1
  model(tf.zeros([1, side, side, 3]), training=False)
  return model


def overlaps(image: Mapping[str, np.ndarray], spec: dataset_spec.DatasetSpec
             ) -> label_maps.Overlaps:
  """Compares one validation image with its truth, at its raw size.

  Args:
    image: 'prediction' int32 [height, width] and, as
      `pipeline.validation_dataset` gives them for one image, 'panoptic',
      'height', 'width', 'raw_height' and 'raw_width'.
    spec: the categories.
  """
  size = (image['raw_height'], image['raw_width'])
  prediction = resizing.nearest_array(
      image['prediction'][:image['height'], :image['width']], *size)
  return label_maps.overlaps(
      image['panoptic'][:size[0], :size[1]], prediction, spec)


class PanopticTask(trained_task.TrainedTask):
  """Training and validation steps of a panoptic network."""

  BEST_METRIC = 'pq'

  def __init__(
      self, settings: PanopticTaskSettings, run: run_settings.RunSettings,
      optimizer: optimizers.OptimizerSettings,
      logging_dir: Optional[str] = None):
    super().__init__(
        settings, load_spec(settings), run, optimizer, logging_dir)
    self._method = kinds.of(settings.model)
    self.VALUES = self._method.values
    self._decoding = decodings.build(
        merging_settings(settings, self.spec), self.spec)
    self._inference = self._compiled = None
    self._bar = None

  def build_model(self) -> keras.Model:
    model = self._prepared(build_model(self._settings, self.spec))
    self._inference = build_inference(self._settings, self.spec, model)
    self._compiled = self._inference.compiled()
    return model

  def build_inputs(self, params, input_context=None) -> tf.data.Dataset:
    """Returns training batches if `params` is 'train', else validation ones."""
    if params == 'train':
      return panoptic_pipeline.train_dataset(
          self._settings.data, self.spec, self._run.global_batch_size,
          input_context=input_context, seed=self._run.seed,
          first_step=self.first_step)
    if self._run.strategy == 'tpu' and not self._decoding.COMPILES:
      raise errors.UserError(
          "RunSettings.strategy = 'tpu': TPUs cannot decode the outputs of "
          f'{type(self._settings.model).__name__}; train with --mode=train, '
          'and validate with --mode=eval on CPUs or GPUs')
    if self._run.compile == 'always' and (
        self._settings.data.validation_size is None):
      raise errors.UserError(
          "RunSettings.compile: expected 'auto' or 'never' for validation "
          "images of any size, got 'always'; set "
          "PanopticDataSettings.validation_size = (height, width) of the "
          "largest one to compile")
    return panoptic_pipeline.validation_dataset(
        self._settings.data, self.spec, self.validation_batch_size,
        input_context=input_context)

  def training_pictures(self):
    return training_pictures.draw(
        self._settings.data, self.spec, self._settings.tensorboard_images,
        self._settings.model.padding, self._run.seed)

  def training_values(self, inputs, model):
    targets = training_batch.unpack(
        inputs, self.spec, self._settings.data.targets,
        self._settings.model.padding)
    outputs = model(targets['image'], training=True, small_logits=True)
    return self._method.losses(
        outputs, targets, ignore_label=self.spec.ignore_label,
        settings=self._settings.losses,
        logits_stride=self._settings.model.heads_stride,
        panoptic=inputs['panoptic'])

  @tf.autograph.experimental.do_not_convert
  def validation_step(self, inputs, model, metrics=None):
    """Segments a replica's images; scoring happens on the host."""
    del model, metrics  # The inference holds the model.
    outputs = self.segment(
        inputs['image'], inputs['height'], inputs['width'])
    scores = (self._segment_scores(outputs, inputs)
              if self._settings.instance_ap else {})
    shown = {}
    if self._settings.tensorboard_images:
      shown = {key: {**inputs, **outputs}[key]
               for key in ('image', *self._decoding.HEADS)}
    return {
        'prediction': outputs['panoptic_map'], **scores, **shown,
        **{key: inputs[key] for key in _PASSED_KEYS}}

  def segment(self, images: tf.Tensor, bottom: tf.Tensor, right: tf.Tensor
              ) -> Dict[str, tf.Tensor]:
    """Segments images [0:bottom, 0:right] of a batch, which may be empty.

    Returns what `PanopticInference` does, at the size of the batch. The last
    batch may leave a replica without images: it then gets an empty tensor, on
    which convolutions fail.
    """
    count, height, width = (tf.shape(images)[axis] for axis in range(3))
    inference = self._inference
    if self._validation_compiles(images):
      inference = self._compiled
      images = self._whole_share(images)
    else:
      none = tf.where(tf.equal(count, 0), 1, 0)
      side = none * self._settings.model.backbone.output_stride
      images = tf.pad(images, [[0, none], [0, side], [0, side], [0, 0]])
    missing = tf.shape(images)[0] - count
    bottom, right = (tf.pad(edge, [[0, missing]], constant_values=1)
                     for edge in (bottom, right))
    first = tf.zeros_like(bottom)
    outputs = inference(padding.fill(
        images, tf.stack([first, first, bottom, right], 1),
        self._settings.model.padding))
    return {key: value[:count, :height, :width]
            for key, value in outputs.items()}

  def _segment_scores(self, outputs, inputs):
    """Lists the segments of each image, without its padding."""
    height, width = (tf.shape(outputs['panoptic_map'])[i] for i in (1, 2))
    inside = (tf.sequence_mask(inputs['height'], height)[:, :, tf.newaxis]
              & tf.sequence_mask(inputs['width'], width)[:, tf.newaxis])
    maps = tf.where(inside, outputs['panoptic_map'], self.spec.void_label)
    tables = tf.map_fn(
        lambda image: segments_lib.segment_table(
            *image, label_divisor=self.spec.label_divisor,
            void_label=self.spec.void_label,
            max_segments=self._inference.max_segments),
        (maps, outputs['score_map'], outputs['semantic_probabilities']),
        fn_output_signature=self._inference.table_signature())
    return {key: tables[key] for key in _SCORE_KEYS}

  def aggregate_logs(self, state, step_logs):
    """Adds one step's images, of all replicas, to the metrics."""
    if state is None:
      state = {
          'quality': panoptic_quality.PanopticQuality(self.spec),
          'iou': mean_iou.MeanIoU(self.spec),
          'covering': parsing_covering.ParsingCovering(self.spec)}
      if self._settings.instance_ap:
        state['ap'] = instance_ap.InstanceAP(self.spec)
      state['pictures'] = validation_pictures.ValidationPictures(
          self.spec, self._settings.tensorboard_images, self._decoding.HEADS,
          merging_settings(self._settings, self.spec))
      self._bar = progress.validation_bar()
    state['pictures'].add(step_logs)
    keys = _IMAGE_KEYS + (_SCORE_KEYS if 'ap' in state else ())
    for replica in zip(*(step_logs[key] for key in keys)):
      for image in zip(*(tensor.numpy() for tensor in replica)):
        self._add_image(state, dict(zip(keys, image)))
        self._bar.update()
    return state

  def _add_image(self, state, image) -> None:
    """Scores one image at its raw size, without padding."""
    pairs = overlaps(image, self.spec)
    state['quality'].add(pairs)
    state['iou'].add(pairs)
    state['covering'].add(pairs)
    if 'ap' in state:
      rows = image['num_segments']
      scores = dict(zip(image['segment_ids'][:rows].tolist(),
                        image['segment_scores'][:rows].tolist()))
      state['ap'].add(
          pairs, instance_ap.thing_scores(pairs, scores, self.spec),
          int(image['place']))

  def reduce_aggregated_logs(self, aggregated_logs, global_step=None):
    """Returns `{'pq', 'sq', 'rq', 'pq_things', ..., 'miou', 'pc'}` in 0..1.

    With `instance_ap` also 'ap', 'ap50' and so on, if the ground truth has
    such instances. All workers get the scores of all images.
    """
    self._bar.close()
    aggregated_logs['pictures'].keep_first()
    aggregated_logs, *others = exchange.gather(aggregated_logs)
    for other in others:
      for key, value in aggregated_logs.items():
        value.merge(other[key])
    aggregated_logs['pictures'].write(global_step)
    result = aggregated_logs['quality'].result()
    logs = {}
    for group, suffix in (('all', ''), ('things', '_things'),
                          ('stuff', '_stuff')):
      for key in ('pq', 'sq', 'rq'):
        logs[key + suffix] = float(result[group][key])
    iou_result = aggregated_logs['iou'].result()
    logs['miou'] = float(iou_result['miou'])
    logs['pixel_accuracy'] = float(iou_result['pixel_accuracy'])
    covering = aggregated_logs['covering'].result()
    logs['pc'] = float(covering['all']['pc'])
    self.validation_table = (
        panoptic_quality.format_table(result, self.spec)
        + f'\nmIoU {100 * logs["miou"]:.2f}\n'
        + parsing_covering.format_line(covering))
    if 'ap' in aggregated_logs:
      ap_result = aggregated_logs['ap'].result()
      logs.update({key: ap_result[key] for key in instance_ap.KEYS
                   if ap_result[key] is not None})
      self.validation_table += '\n' + instance_ap.format_line(ap_result)
    return logs
