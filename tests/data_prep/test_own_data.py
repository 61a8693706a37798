"""Own data from the export to records, by the commands of the docs."""

import json
import re
import shlex

import numpy as np
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_files
from axial_tf.data.panoptic import records
from axial_tf.specs import dataset_spec
from data_prep import convert, own_data_flags
from data_prep.readers import selection, splits
from tests import tools
from tests.data_prep import tiny_exports

_NAMES = tuple(f'{film}_{frame}' for film in 'abcdefgh' for frame in range(2))
_TOOLS = {
    'cvat': tiny_exports.cvat, 'cvat_masks': tiny_exports.cvat_masks,
    'label_studio': tiny_exports.label_studio,
    'roboflow': tiny_exports.roboflow,
    'labelme2coco': tiny_exports.labelme2coco,
    'labelme2voc': tiny_exports.labelme2voc}


def _examples(folder, split):
  files = record_files.verify_shards(str(folder / f'{split}-*.tfrecord'))
  return {example['filename'].numpy().decode(): example for example in (
      records.decode_panoptic_example(record)
      for record in tf.data.TFRecordDataset(list(files.paths)))}


def _commands(project_root):
  """Returns the arguments of each command in the section, by its tool."""
  text = (project_root / 'docs' / 'datasets.md').read_text()
  section = text.split('## Your own data')[1].split('\n## ')[0]
  commands = re.findall(
      r'^python -m data_prep\.convert (.*?[^\\])$',
      section, re.MULTILINE | re.DOTALL)
  result = {}
  for command in commands:
    arguments = shlex.split(command.replace('\\\n', ' '))
    tool = next(a for a in arguments if a.startswith('--input_dir=')
                ).partition('exports/')[2]
    result.setdefault(tool, []).append(arguments)
  return result


def test_the_docs_have_a_spec_and_a_conversion_for_each_tool(project_root):
  assert {tool: len(c) for tool, c in _commands(project_root).items()} == (
      dict.fromkeys(_TOOLS, 2))


@pytest.mark.parametrize('tool', _TOOLS)
def test_the_commands_of_the_docs(tool, project_root, tmp_path):
  """Train and val hold all images; a film is in one of them."""
  _TOOLS[tool](tmp_path / 'exports' / tool, _NAMES)
  infer, command = _commands(project_root)[tool]
  done = tools.run('data_prep.convert', *infer, cwd=tmp_path)
  assert done.returncode == 0, done.stderr
  found = {}
  for split in ('train', 'val'):
    arguments = [a.replace('--split=train', f'--split={split}')
                 for a in command]
    done = tools.run(
        'data_prep.convert', *arguments, '--processes=1', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found[split] = _examples(tmp_path / 'datasets' / tool, split)
    assert f'{len(found[split])} images of {split} are in' in done.stdout
    is_divided_here = any(a.startswith('--val_fraction') for a in command)
    assert (f'{split}: {len(found[split])} of 16 images' in done.stdout) == (
        is_divided_here)
  stems = [{name.rpartition('/')[2].partition('.')[0] for name in part}
           for part in found.values()]
  assert sorted([*stems[0], *stems[1]]) == sorted(_NAMES)
  if any(a.startswith('--group_by') for a in command):
    films = [{stem[0] for stem in part} for part in stems]
    assert not films[0] & films[1]
  spec_path, = (a.partition('=')[2] for a in infer
                if a.startswith('--infer_spec='))
  spec = dataset_spec.DatasetSpec.load(str(tmp_path / spec_path))
  cat = spec.by_source_id[tiny_exports.CAT]
  assert cat.is_thing and cat.name.startswith('cat')
  for part in found.values():
    for example in part.values():
      panoptic = example['panoptic'].numpy()
      assert (panoptic[:2, :2] == cat.train_id * spec.label_divisor + 1).all()


@pytest.fixture
def export(tmp_path):
  """Instances with semantic PNGs of a floor, and its spec."""
  root = tmp_path / 'export'
  tiny_exports.cvat(root)
  for name in tiny_exports.NAMES:
    tiny_exports.save(
        root / 'semantic' / f'{name}.png', np.full([8, 6], 4, np.uint8))
  return root


def _run(root, out, dataset='coco_instances', split='train', max_errors=0,
         **options):
  spec = root.parent / 'spec.json'
  if not spec.exists():
    spec.write_text(json.dumps(dataset_spec.DatasetSpec(
        name='pets', label_divisor=10, ignore_label=9, categories=tuple(
            dataset_spec.Category(i, i, name, i in (1, 2), (i, i, i))
            for i, name in enumerate(
                ('background', 'cat', 'dog', 'bird', 'floor')))).to_json()))
  convert.run(
      dataset, str(root), split, str(out),
      splits.ReadOptions(spec=str(spec), **options), processes=1,
      max_errors=max_errors)


def test_instances_are_shrunk_skipped_and_done_again(
    export, tmp_path, capsys):
  out = tmp_path / 'out'
  options = {'paths': splits.DataPaths(semantic_dir='semantic'),
             'max_long_side': 4, 'overlap': 'order'}
  (export / 'semantic' / 'a_2.png').unlink()
  with pytest.raises(errors.UserError, match='1 of 3 semantic PNGs are missi'):
    _run(export, out, **options)
  _run(export, out, max_errors=1, **options)
  found = _examples(out, 'train')
  assert sorted(found) == ['a_1.png', 'b_1.png']
  assert found['b_1.png']['image'].shape == (4, 3, 3)
  assert set(np.unique(found['b_1.png']['panoptic'])) == {11, 40}
  entry = json.loads((out / 'dataset_info.json').read_text())['splits']['train']
  assert entry['options'] == {
      'crowds': 'keep', 'max_long_side': 4, 'overlap': 'order',
      'semantic_dir': 'semantic'}
  assert [fault['filename'] for fault in entry['skipped']] == ['a_2.png']
  before = (out / 'dataset_info.json').read_bytes()
  _run(export, out, max_errors=1, **options)
  assert (out / 'dataset_info.json').read_bytes() == before
  tiny_exports.save(
      export / 'semantic' / 'b_1.png', np.full([8, 6], 3, np.uint8))
  _run(export, out, max_errors=1, **options)
  assert set(np.unique(_examples(out, 'train')['b_1.png']['panoptic'])) == {
      11, 30}
  assert 'all its 3 images are taken for train' in capsys.readouterr().out


def test_hidden_instances_are_counted(export, tmp_path, capsys):
  path = export / 'annotations' / 'instances_default.json'
  content = json.loads(path.read_text())
  content['annotations'].append(content['annotations'][0])
  path.write_text(json.dumps(content))
  _run(export, tmp_path / 'out')
  assert '1 of 3 images: instances that others cover completely' in (
      capsys.readouterr().out)


def test_masks_are_shrunk_and_divided(tmp_path, capsys):
  root, out = tmp_path / 'data', tmp_path / 'out'
  tiny_exports.folders(root, names=_NAMES)
  chosen = selection.Selection(val_fraction=0.3, group_by='^(.)_')
  for split in ('train', 'val'):
    _run(root, out, 'masks', split, selection=chosen, max_long_side=4)
  info = json.loads((out / 'dataset_info.json').read_text())['splits']
  assert sum(info[split]['num_images'] for split in ('train', 'val')) == 16
  assert info['val']['options'] == {
      'crowds': 'keep', 'max_long_side': 4, 'group_by': '^(.)_',
      'val_fraction': 0.3}
  panoptic = next(iter(_examples(out, 'val').values()))['panoptic'].numpy()
  assert panoptic.shape == (4, 3)
  assert set(np.unique(panoptic)) == {0, 11, 21}
  assert re.search(r'val: \d+ of 16 images \(\d+\.\d%\), \d of 8 groups',
                   capsys.readouterr().out)


@pytest.mark.parametrize('dataset, options, message', [
    ('masks', {'background': 'sky'},
     '--background belongs to --dataset=coco_instances; leave it out for mask'),
    ('masks', {'overlap': 'order'}, '--overlap belongs to'),
    ('masks', {'paths': splits.DataPaths(annotations='x')}, '--annotations b'),
    ('coco_instances', {'instances': 'components'},
     '--instances belongs to --dataset=masks; leave'),
    ('coco_instances', {'paths': splits.DataPaths(instance_dir='x')},
     '--instance_dir belongs to'),
    ('custom', {'paths': splits.DataPaths(semantic_dir='x')},
     '--semantic_dir belongs to --dataset=coco_instances or masks; leave'),
    ('cityscapes', {'selection': selection.Selection(val_fraction=0.2)},
     '--val_fraction belongs to --dataset=coco_instances or masks or custom'),
    ('coco', {'selection': selection.Selection(file_list='x')}, '--file_list'),
    ('masks', {'classes': 'x'}, '--classes belongs to --dataset=imagenet'),
])
def test_options_of_other_data_sets(tmp_path, dataset, options, message):
  with pytest.raises(errors.UserError, match=message):
    _run(tmp_path / 'x', tmp_path / 'out', dataset, **options)
  if dataset in ('cityscapes', 'coco'):
    message = '--infer_spec belongs to --dataset=custom or coco_instances or'
  with pytest.raises(errors.UserError, match=message):
    convert.write_spec(
        dataset, 'x', 'train', 'spec.json', splits.ReadOptions(**options))


def test_help_lists_the_flags():
  done = tools.run('data_prep.convert', '--help')
  for name in own_data_flags.DATASETS:
    assert f'--{name}: ' in done.stdout


def test_flags_reach_the_reader(export, tmp_path):
  (tmp_path / 'list.txt').write_text('b_1')
  common = (f'--input_dir={export}', '--split=x', '--semantic_dir=semantic',
            '--annotations=annotations/instances_default.json',
            '--image_dir=images')
  tools.succeeds('data_prep.convert', '--dataset=coco_instances', *common,
                 f'--infer_spec={tmp_path / "s.json"}')
  tools.succeeds('data_prep.convert', '--dataset=coco_instances', *common,
                 f'--spec={tmp_path / "s.json"}', '--overlap=order',
                 f'--file_list={tmp_path / "list.txt"}', '--processes=1',
                 f'--output_dir={tmp_path / "out"}')
  panoptic = _examples(tmp_path / 'out', 'x')['b_1.png']['panoptic'].numpy()
  assert len(np.unique(panoptic)) == 2  # cat and 'class 4'
  assert 'expected train or val' in tools.refused(
      'data_prep.convert', '--dataset=coco_instances', *common,
      f'--spec={tmp_path / "s.json"}', '--val_fraction=0.2',
      f'--output_dir={tmp_path / "out"}')
