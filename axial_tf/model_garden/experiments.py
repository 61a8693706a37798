"""Experiments of the Model Garden on an Axial-ResNet.

Each is one of the Model Garden's with its schedule and data, in which our
backbone takes the place of a ResNet and no checkpoint is loaded. They have not
been trained.
"""

import dataclasses

from official.core import config_definitions, exp_factory

from axial_tf.model_garden import configs

_Experiment = config_definitions.ExperimentConfig
# Side of the crops of Pascal VOC.
_PASCAL_SIDE = 512


@exp_factory.register_config_factory('axial_resnet_imagenet')
def axial_resnet_imagenet() -> _Experiment:
  """Returns image classification on ImageNet."""
  return _with_axial_resnet(
      'resnet_imagenet', configs.ImageClassificationTask)


@exp_factory.register_config_factory('retinanet_axialresnetfpn_coco')
def retinanet_axialresnetfpn_coco() -> _Experiment:
  """Returns RetinaNet on COCO."""
  return _with_axial_resnet('retinanet_resnetfpn_coco', configs.RetinaNetTask)


@exp_factory.register_config_factory('maskrcnn_axialresnetfpn_coco')
def maskrcnn_axialresnetfpn_coco() -> _Experiment:
  """Returns Mask R-CNN on COCO."""
  return _with_axial_resnet('maskrcnn_resnetfpn_coco', configs.MaskRCNNTask)


@exp_factory.register_config_factory('seg_deeplabv3plus_axialresnet_pascal')
def seg_deeplabv3plus_axialresnet_pascal() -> _Experiment:
  """Returns semantic segmentation of Pascal VOC with DeepLabV3+."""
  experiment = _with_axial_resnet(
      'seg_deeplabv3plus_pascal', configs.SemanticSegmentationTask)
  model = experiment.task.model
  model.backbone.axial_resnet.output_stride = 16
  model.norm_activation.activation = 'relu'
  model.input_size = [_PASCAL_SIDE, _PASCAL_SIDE, 3]
  return experiment


def _with_axial_resnet(name: str, kind: type) -> _Experiment:
  """Returns an experiment with our backbone, under our task's configuration.

  Args:
    name: name of the Model Garden's experiment.
    kind: class of the task's configuration.
  """
  experiment = exp_factory.get_exp_config(name)
  task = experiment.task
  experiment.task = kind(**{
      field.name: getattr(task, field.name)
      for field in dataclasses.fields(task)})
  experiment.task.model.backbone = configs.Backbone()
  experiment.task.init_checkpoint = None
  experiment.task.init_checkpoint_modules = 'backbone'
  return experiment
