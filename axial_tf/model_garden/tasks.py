"""The Model Garden's tasks on our backbones.

They check what our backbones cannot have before a model is built, and start
from checkpoints of our training runs as well as from the Model Garden's.
"""

import sys
from typing import Iterable

from official.core import task_factory
from official.vision.tasks import (
  image_classification,
  maskrcnn,
  retinanet,
  semantic_segmentation,
)

from axial_tf import errors
from axial_tf.keras2 import keras
from axial_tf.model_garden import backbone, configs, transfer


class _OnAxialResNet:
  """Adds the checks and the checkpoints to a task of the Model Garden."""

  def build_model(self) -> keras.Model:
    """Builds the model.

    Raises:
      errors.UserError: a value out of range, or an image size or levels that
        the model cannot have.
    """
    chosen = self.task_config.model.backbone.get()
    if isinstance(chosen, configs.AxialResNet):
      self._check(chosen.settings().output_stride)
    return super().build_model()

  def initialize(self, model: keras.Model) -> None:
    """Loads `init_checkpoint`; of a run of ours, the backbone.

    The number of weights of each part that were loaded, and of those that were
    not, is printed.

    Raises:
      errors.UserError: there is no such checkpoint, or nothing matches.
    """
    path = self.task_config.init_checkpoint
    if (not path or not isinstance(model.backbone, backbone.Backbone)
        or not transfer.is_ours(path)):
      super().initialize(model)
      return
    modules = self.task_config.init_checkpoint_modules
    if 'backbone' not in modules:
      raise errors.UserError(
          f"task.init_checkpoint_modules: expected 'backbone', as {path} is of "
          f'a training run of axial_tf, got {modules!r}')
    report = transfer.load(model.backbone.network, path)
    print(report.format_table(), file=sys.stderr, flush=True)

  def _check(self, output_stride: int) -> None:
    """Checks the sizes of images and the levels of features."""
    _require_multiple(self.task_config.model.input_size, output_stride,
                      f'the output stride, {output_stride}')


class _Detection(_OnAxialResNet):
  """Adds the checks of detectors, whose anchors are at fixed strides."""

  def _check(self, output_stride):
    model = self.task_config.model
    stride = max(output_stride, 1 << model.max_level)
    _require_multiple(
        model.input_size, stride,
        f'2 ** max_level, {stride} at level {model.max_level}')
    _require_levels('min_level', [model.min_level], output_stride)


@task_factory.register_task_cls(configs.ImageClassificationTask)
class ImageClassificationTask(
    _OnAxialResNet, image_classification.ImageClassificationTask):
  """Image classification."""

  def _check(self, output_stride):
    """Does nothing: images may have any size from the output stride on."""


@task_factory.register_task_cls(configs.RetinaNetTask)
class RetinaNetTask(_Detection, retinanet.RetinaNetTask):
  """Object detection with RetinaNet."""


@task_factory.register_task_cls(configs.MaskRCNNTask)
class MaskRCNNTask(_Detection, maskrcnn.MaskRCNNTask):
  """Object detection and instance segmentation with Mask R-CNN."""


@task_factory.register_task_cls(configs.SemanticSegmentationTask)
class SemanticSegmentationTask(
    _OnAxialResNet, semantic_segmentation.SemanticSegmentationTask):
  """Semantic segmentation."""

  def _check(self, output_stride):
    super()._check(output_stride)
    model = self.task_config.model
    decoder = model.decoder
    if decoder.type == 'aspp':
      _require_levels('decoder.aspp.level', [decoder.aspp.level], output_stride)
    if model.head.feature_fusion == 'deeplabv3plus':
      _require_levels('head.low_level', [model.head.low_level], output_stride)


def _require_multiple(size: Iterable, divisor: int, meaning: str) -> None:
  """Raises a UserError unless height and width are multiples, or None."""
  if any(side is not None and (side < divisor or side % divisor)
         for side in list(size)[:2]):
    raise errors.UserError(
        f'task.model.input_size: expected height and width that are multiples '
        f'of {meaning}, got {list(size)}')


def _require_levels(field: str, levels: Iterable, output_stride: int) -> None:
  """Raises a UserError unless the backbone has features of these levels."""
  known = backbone.endpoints(output_stride)
  for level in levels:
    if str(level) not in known:
      raise errors.UserError(
          f'task.model.{field}: expected a level of the backbone, '
          f'{", ".join(known)} at output stride {output_stride}, got {level}')
