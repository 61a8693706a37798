"""A page in Markdown that tells people what an exported model is."""

from typing import Any, Dict, List, Mapping

from axial_tf import version as version_lib

# What validation reports, in the order in which people ask for it.
_METRICS = (
    ('pq', 'PQ'), ('sq', 'SQ'), ('rq', 'RQ'), ('pq_things', 'PQ, things'),
    ('pq_stuff', 'PQ, stuff'), ('miou', 'mIoU'), ('ap', 'AP'),
    ('pixel_accuracy', 'pixel accuracy'))


def text(content: Mapping[str, Any]) -> str:
  """Returns the card.

  Args:
    content: of the export's model.json.
  """
  spec, rules = content['dataset_spec'], content['input_rules']
  lines = [
      f'# Panoptic segmentation of {spec["name"]}', '',
      f'Exported by axial_tf {version_lib.__version__} from the checkpoint '
      f'`{content.get("checkpoint", "unknown")}`.', '',
      '## Input', '',
      f'- {rules["pixels"]}.',
      f'- {_size_rule(rules)}',
      f'- {_view_rule(rules)}', '',
      '## Scores', '', *_score_lines(content.get('metrics') or {}), '',
      '## Categories', '',
      f'A pixel of the panoptic map holds train id * {spec["label_divisor"]} + '
      f'instance; things count from 1 in each image, stuff has 0. Void is '
      f'{spec["ignore_label"] * spec["label_divisor"]}.', '',
      '| train id | id | name | kind | color |',
      '|---|---|---|---|---|']
  for category in spec['categories']:
    color = '#{:02x}{:02x}{:02x}'.format(*category['color'])
    lines.append(
        f'| {category["train_id"]} | {category["id"]} | {category["name"]} | '
        f'{"thing" if category["is_thing"] else "stuff"} | {color} |')
  return '\n'.join(lines) + '\n'


def _size_rule(rules: Mapping[str, Any]) -> str:
  side = rules['max_long_side']
  if side is None:
    return 'Each image is segmented at its own size.'
  what = 'brought' if rules['enlarge'] else 'shrunk, where it is larger,'
  return (f'An image is {what} to a longer side of {side} pixels; maps and '
          f'boxes come back at its own size.')


def _view_rule(rules: Mapping[str, Any]) -> str:
  scales = ', '.join(f'{scale:g}' for scale in rules['scales'])
  if len(rules['scales']) == 1 and not rules['flip']:
    return f'It is seen once, at scale {scales}.'
  mirrored = ', each also mirrored' if rules['flip'] else ''
  return f'Results are averaged over the scales {scales}{mirrored}.'


def _score_lines(metrics: Dict[str, Any]) -> List[str]:
  known = [(name, metrics[key]) for key, name in _METRICS if key in metrics]
  if not known:
    return ['This checkpoint was not validated.']
  return ['On the validation data of its training run, in percent:', '',
          *(f'- {name}: {100 * value:.2f}' for name, value in known)]
