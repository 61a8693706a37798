"""Experiments on an Axial-ResNet, made small, and records in their formats."""

import json
import pathlib

from official.vision.dataloaders import tfexample_utils

# A backbone that is traced in seconds.
BACKBONE = {'type': 'axial_resnet', 'axial_resnet': {
    'variant': 'axial_resnet_s', 'width_multiplier': 0.0625,
    'stem_width_multiplier': 0.125, 'blocks': [1, 1, 1, 1], 'heads': 2}}
# One of convolutions, which is traced in less.
CONVOLUTIONS = {'type': 'axial_resnet', 'axial_resnet': {
    **BACKBONE['axial_resnet'], 'variant': 'resnet50'}}
_SIDE = 64
_FPN = {'type': 'fpn', 'fpn': {'num_filters': 8}}
_HEAD = {'num_convs': 1, 'num_filters': 8}
_MODELS = {
    'axial_resnet_imagenet': {'num_classes': 2},
    'retinanet_axialresnetfpn_coco': {
        'num_classes': 3, 'max_level': 5, 'decoder': _FPN, 'head': _HEAD},
    'maskrcnn_axialresnetfpn_coco': {
        'num_classes': 3, 'max_level': 5, 'decoder': _FPN,
        'rpn_head': _HEAD, 'mask_head': _HEAD,
        'detection_head': {**_HEAD, 'fc_dims': 8},
        'roi_sampler': {'num_sampled_rois': 4},
        'roi_generator': {'pre_nms_top_k': 8, 'num_proposals': 8},
        'mask_sampler': {'num_sampled_masks': 2}},
    'seg_deeplabv3plus_axialresnet_pascal': {
        'num_classes': 3,
        'decoder': {'type': 'aspp', 'aspp': {'num_filters': 8}},
        'head': _HEAD},
}
NAMES = tuple(_MODELS)


def write_records(path: pathlib.Path, name: str) -> None:
  """Writes two images as the task of an experiment reads them."""
  if 'imagenet' in name:
    examples = [tfexample_utils.create_classification_example(
        _SIDE, _SIDE, output_serialized_example=False)]
  elif 'seg' in name:
    examples = [tfexample_utils.create_segmentation_test_example(
        _SIDE, _SIDE, 3)]
  else:
    examples = [tfexample_utils.create_detection_test_example(
        _SIDE, _SIDE, 3, num_instances=2)]
  tfexample_utils.dump_to_tfrecord(str(path), 2 * examples)


def overrides(name: str, records: pathlib.Path, backbone=None, **model) -> str:
  """Returns parameters, in JSON, of one training step on these records.

  Args:
    name: name of the experiment.
    records: file with its records.
    backbone: parameters of task.model.backbone; None for BACKBONE.
    **model: further parameters of task.model.
  """
  data = {'input_path': str(records), 'global_batch_size': 2, 'dtype':
          'float32', 'shuffle_buffer_size': 2}
  if 'seg' in name:
    data['output_size'] = [_SIDE, _SIDE]
  return json.dumps({
      'runtime': {'mixed_precision_dtype': 'float32'},
      'task': {
          'model': {**_MODELS[name], 'input_size': [_SIDE, _SIDE, 3],
                    'backbone': backbone or BACKBONE, **model},
          'train_data': data, 'validation_data': data},
      'trainer': {
          'train_steps': 1, 'steps_per_loop': 1, 'summary_interval': 1,
          'checkpoint_interval': 1, 'validation_steps': 1,
          'validation_interval': 1}})
