"""Experiments on an Axial-ResNet, made small, and records in their formats."""

import io
import json
import pathlib

import numpy as np
from PIL import Image
import tensorflow as tf

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
        'num_classes': 3, 'min_level': 4, 'max_level': 5, 'decoder': _FPN,
        'head': _HEAD, 'anchor': {'num_scales': 1}},
    'maskrcnn_axialresnetfpn_coco': {
        'num_classes': 3, 'min_level': 4, 'max_level': 5, 'decoder': _FPN,
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
  with tf.io.TFRecordWriter(str(path)) as writer:
    for label in (1, 2):
      labels = {'image/class/label': [label - 1]}
      if 'seg' in name:
        labels = {'image/segmentation/class/encoded': [_png(_square(label))],
                  'image/segmentation/class/format': [b'png']}
      elif 'rcnn' in name or 'retinanet' in name:
        labels = {
            'image/source_id': [b'%d' % label],
            'image/object/class/label': [label],
            'image/object/is_crowd': [0], 'image/object/area': [32 * 32.],
            'image/object/mask': [_png(_square(1))],
            **{f'image/object/bbox/{edge}': [share] for edge, share in (
                ('ymin', 0.25), ('xmin', 0.25), ('ymax', 0.75),
                ('xmax', 0.75))}}
      writer.write(_example({
          'image/encoded': [_jpeg(label)], 'image/height': [_SIDE],
          'image/width': [_SIDE], **labels}).SerializeToString())


def _square(value):
  """A square of a value on zeros, half as wide and high as the image."""
  pixels = np.zeros([_SIDE, _SIDE], np.uint8)
  pixels[_SIDE // 4:-_SIDE // 4, _SIDE // 4:-_SIDE // 4] = value
  return pixels


def _jpeg(seed):
  pixels = np.random.default_rng(seed).integers(0, 256, [_SIDE, _SIDE, 3])
  return _encoded(pixels.astype(np.uint8), 'JPEG')


def _png(pixels):
  return _encoded(pixels, 'PNG')


def _encoded(pixels, kind):
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, kind)
  return buffer.getvalue()


def _example(features) -> tf.train.Example:
  kinds = {bytes: ('bytes_list', tf.train.BytesList),
           int: ('int64_list', tf.train.Int64List),
           float: ('float_list', tf.train.FloatList)}
  return tf.train.Example(features=tf.train.Features(feature={
      key: tf.train.Feature(**{kinds[type(values[0])][0]: kinds[
          type(values[0])][1](value=values)})
      for key, values in features.items()}))


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
