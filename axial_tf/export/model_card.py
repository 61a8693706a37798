"""Writes the model card, a Markdown page that describes an exported model."""

from typing import Any, Dict, List, Mapping, Optional

from axial_tf.files import model_folders

# Validation metrics, the most important ones first.
_METRICS = (
    ('pq', 'PQ'), ('sq', 'SQ'), ('rq', 'RQ'), ('pq_things', 'PQ, things'),
    ('pq_stuff', 'PQ, stuff'), ('miou', 'mIoU'), ('ap', 'AP'), ('pc', 'PC'),
    ('pixel_accuracy', 'pixel accuracy'), ('top1', 'top-1'),
    ('top5', 'top-5'))


def text(content: Mapping[str, Any]) -> str:
  """Returns the card.

  Args:
    content: content of the export's model.json.
  """
  rules = content['input_rules']
  task = model_folders.task_of(content)
  spec, (title, how, labels) = content[task.spec], _PARTS[task]
  return '\n'.join([
      f'# {title} of {spec["name"]}', '',
      f'Exported by axial_tf {content["axial_tf_version"]} from the checkpoint '
      f'`{content.get("checkpoint", "unknown")}`.', '',
      '## Input', '',
      *(f'- {rule}' for rule in (
          f'{rules["pixels"]}.', *(rule(rules) for rule in how),
          *_file_rules(content['serving']),
          *_compiled_rules(content['serving']))), '',
      '## Scores', '', *_score_lines(content.get('metrics') or {}),
      *_tuning_lines(content.get('tuning')), '',
      *labels(spec)]) + '\n'


def _categories(spec: Mapping[str, Any]) -> List[str]:
  return [
      '## Categories', '',
      f'A pixel of the panoptic map holds train id * {spec["label_divisor"]} + '
      f'instance; things count from 1 in each image, stuff has 0. Void is '
      f'{spec["ignore_label"] * spec["label_divisor"]}.', '',
      '| train id | id | name | kind | color |',
      '|---|---|---|---|---|',
      *(f'| {entry["train_id"]} | {entry["id"]} | {entry["name"]} | '
        f'{"thing" if entry["is_thing"] else "stuff"} | '
        '#{:02x}{:02x}{:02x} |'.format(*entry['color'])
        for entry in spec['categories'])]


def _classes(spec: Mapping[str, Any]) -> List[str]:
  return [
      '## Classes', '',
      '| class | id | name |',
      '|---|---|---|',
      *(f'| {entry["label"]} | {entry["id"]} | {entry["name"]} |'
        for entry in spec['classes'])]


def _file_rules(serving: Mapping[str, Any]) -> List[str]:
  bad = ('fails the request' if serving['on_error'] == 'fail' else
         'is marked with -1, the others in its request are processed')
  return [f'Files of up to {serving["max_pixels"]} pixels are decoded; one '
          f'that is larger or not an image {bad}.']


def _compiled_rules(serving: Mapping[str, Any]) -> List[str]:
  size = serving.get('compiled_size')
  if size is None:
    return []
  return [f'The signature `compiled` takes the files of images that the '
          f'network sees at {size[0]} x {size[1]} pixels; it needs a server '
          f'with XLA, the other signatures do not.']


def _crop_rule(rules: Mapping[str, Any]) -> str:
  height, width = rules['image_size']
  if rules['short_side'] is None:
    return f'An image is resized to {height} x {width} pixels.'
  return (f'An image is resized to a shorter side of {rules["short_side"]} '
          f'pixels, then cropped to the central {height} x {width}.')


def _size_rule(rules: Mapping[str, Any]) -> str:
  side = rules['max_long_side']
  if side is None:
    return 'Each image is segmented at its original size.'
  what = 'resized' if rules['enlarge'] else 'shrunk, if it is larger,'
  return (f'An image is {what} to a longer side of {side} pixels; maps and '
          f'boxes are returned at its original size.')


def _view_rule(rules: Mapping[str, Any]) -> str:
  scales = ', '.join(f'{scale:g}' for scale in rules['scales'])
  if len(rules['scales']) == 1 and not rules['flip']:
    return f'It is processed once, at scale {scales}.'
  mirrored = ', each also mirrored' if rules['flip'] else ''
  return f'Results are averaged over the scales {scales}{mirrored}.'


def _score_lines(metrics: Dict[str, Any]) -> List[str]:
  known = [(name, metrics[key]) for key, name in _METRICS if key in metrics]
  if not known:
    return ['This checkpoint was not validated.']
  return ['On the validation data of its training run, in percent:', '',
          *(f'- {name}: {100 * value:.2f}' for name, value in known)]


def _tuning_lines(tuning: Optional[str]) -> List[str]:
  return ['', f'{tuning[0].upper()}{tuning[1:]}.'] if tuning else []


# The title, the rules for images, and the meaning of the labels.
_PARTS = {
    model_folders.PANOPTIC: (
        'Panoptic segmentation', (_size_rule, _view_rule), _categories),
    model_folders.CLASSIFICATION: (
        'Image classification', (_crop_rule,), _classes),
}
