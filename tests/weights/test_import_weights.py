"""Published weights become runs that give the published numbers."""

import json
import os
import shutil

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

import axial_tf
from axial_tf import errors
from axial_tf.data.classification import pipeline as classification_pipeline
from axial_tf.experiment import config, restore, run
from axial_tf.models import settings_by_name
from axial_tf.specs import class_spec
from axial_tf.tasks import classification
from axial_tf.training import checkpoints, initialization
from axial_tf.weights import csrhddlam, deeplab2, importing, torch_files
from tests import tiny_classes, tools

_CLASSIFIER = 'experiments/imagenet_resnet50.gin'
_TINY = ("RECORDS = 'none'", 'variant_settings.width_multiplier = 0.0625',
         'variant_settings.stem_width_multiplier = 0.125',
         'variant_settings.blocks = (1, 1, 1, 1)', 'NUM_CLASSES = 3')


def _import(*arguments):
  return tools.run('axial_tf.import_weights', *arguments)


class TestDeepLab2Files:
  """With checkpoints made here of a network of convolutions."""

  @staticmethod
  def _paths(model, root):
    """Returns the model's weights, drawn again, by DeepLab2's paths."""
    rng = np.random.default_rng(0)
    paths = {}
    for name, variable in checkpoints.places(model).items():
      value = rng.uniform(0.5, 1, variable.shape).astype(np.float32)
      for ours, theirs in (
          ('backbone/', f'{root}/'), ('stem/conv1/', '_stem/'),
          ('stage', '_stage'), ('_block', '/_block'),
          ('reduce/', '_conv1_bn_act/'),
          ('/conv/conv/', '/_conv2_bn_act/conv/'),
          ('/conv/norm/', '/_conv2_bn_act/norm/'), ('expand/', '_conv3_bn/'),
          ('shortcut/', '_shortcut/'), ('/conv/', '/_conv/'),
          ('norm/', '_batch_norm/')):
        name = name.replace(ours, theirs)
      paths[name] = value
    return paths

  @staticmethod
  def _save(paths, prefix):
    root = tf.train.Checkpoint()
    for path, value in paths.items():
      *parts, last = path.split('/')
      node = root
      for part in parts:
        if not hasattr(node, part):
          setattr(node, part, tf.Module())
        node = getattr(node, part)
      setattr(node, last, tf.Variable(value))
    return tf.train.Checkpoint(
        **{name: getattr(root, name) for name in {
            path.split('/')[0] for path in paths}},
        optimizer=tf.Module(), global_step=tf.Variable(5)).write(prefix)

  @pytest.mark.parametrize('root', ['encoder', 'backbone/_encoder'])
  def test_both_roots(self, tmp_path, root):
    experiment = config.parse([_CLASSIFIER], _TINY)
    spec = class_spec.ClassSpec('three', tuple(
        class_spec.ImageClass(i, str(i), str(i)) for i in range(3)))
    model = classification.build_model(experiment.task, spec)
    paths = self._paths(model, root)
    prefix = self._save(paths, str(tmp_path / 'ckpt'))
    read = deeplab2.read(prefix)
    assert read.keys() == paths.keys()
    for name in (f'{prefix}.index', f'{prefix}.data-00000-of-00001'):
      assert deeplab2.read(name).keys() == paths.keys()
    report = importing.write_run(
        experiment, deeplab2.arrays(read), prefix, str(tmp_path / 'run'))
    assert len(report.loaded) == len(model.variables) > 60
    restored = restore.load_inference(str(tmp_path / 'run'))
    assert [entry.name for entry in restored.spec.classes] == [
        'class 0', 'class 1', 'class 2']
    for path, variable in zip(
        paths, checkpoints.places(restored.model).values()):
      np.testing.assert_array_equal(variable, paths[path])

  def test_a_backbone_alone_is_partial(self, tmp_path):
    experiment = config.parse([_CLASSIFIER], _TINY)
    spec = class_spec.ClassSpec('three', tuple(
        class_spec.ImageClass(i, str(i), str(i)) for i in range(3)))
    paths = self._paths(
        classification.build_model(experiment.task, spec), 'encoder')
    arrays = deeplab2.arrays({
        path: value for path, value in paths.items() if 'last' not in path})
    arrays['_extra/kernel'] = np.zeros([2])
    folder = str(tmp_path / 'run')
    with pytest.raises(errors.UserError, match=(
        r'2 missing \(last/bias, last/kernel\); 1 unused \(_extra/kernel\)')):
      importing.write_run(experiment, arrays, 'ckpt', folder)
    assert os.listdir(tmp_path) == []
    report = importing.write_run(
        experiment, arrays, 'ckpt', folder, allow_partial=True)
    assert report.missing == ('last/bias', 'last/kernel')
    with pytest.raises(errors.UserError, match='exists already'):
      importing.write_run(
          experiment, arrays, 'ckpt', folder, allow_partial=True)

  def test_weights_of_something_else(self, tmp_path):
    experiment = config.parse([_CLASSIFIER], _TINY)
    with pytest.raises(errors.UserError, match='none of its weights fits'):
      importing.write_run(
          experiment, {'a/kernel': np.zeros([3])}, 'ckpt',
          str(tmp_path / 'run'), allow_partial=True)
    assert os.listdir(tmp_path) == []

  @pytest.mark.slow
  def test_an_imported_classifier_is_validated_and_trained(self, tmp_path):
    records = tiny_classes.write(tmp_path)
    bindings = [f"RECORDS = '{records}'", *tiny_classes.BINDINGS,
                'OptimizerSettings.average_decay = 0.999']
    files = ['experiments/cifar10_axial_resnet.gin']
    experiment = config.parse(files, bindings)
    model = classification.build_model(experiment.task, tiny_classes.SPEC)
    arrays = {name: variable.numpy()
              for name, variable in checkpoints.places(model).items()}
    folder = str(tmp_path / 'run')
    importing.write_run(experiment, arrays, 'elsewhere', folder)
    metrics = run.run(
        config.parse([f'{folder}/config.gin']), folder, 'eval')
    # Averages, which weights from elsewhere lack, begin with them.
    assert metrics['cross_entropy'] == pytest.approx(
        _cross_entropy(experiment.task, model), rel=1e-4)
    run.run(config.parse([f'{folder}/config.gin']), folder, 'train')
    assert tf.train.latest_checkpoint(folder).endswith('ckpt-12')


def _cross_entropy(task, model):
  batches = classification_pipeline.validation_dataset(
      task.data, tiny_classes.SPEC, 4)
  losses = [tf.nn.sparse_softmax_cross_entropy_with_logits(
      batch['label'], model(batch['image'])) for batch in batches]
  return np.mean(tf.concat(losses, 0))


@pytest.mark.parametrize('damage, part', [
    (lambda index, data: open(index, 'r+b').truncate(30), 'cannot be read'),
    (lambda index, data: open(index, 'wb').close(), 'cannot be read'),
    (lambda index, data: os.remove(data), 'cannot be read'),
    (lambda index, data: open(data, 'r+b').truncate(100), 'cannot be read'),
    (lambda index, data: os.remove(index), 'holds no checkpoint'),
])
def test_damaged_checkpoints(tmp_path, damage, part):
  prefix = str(tmp_path / 'ckpt')
  tf.train.Checkpoint(encoder=tf.Variable(np.zeros(500))).write(prefix)
  damage(f'{prefix}.index', f'{prefix}.data-00000-of-00001')
  with pytest.raises(errors.UserError, match=part) as raised:
    deeplab2.read(prefix)
  assert '\n' not in str(raised.value)


@pytest.mark.slow
@pytest.mark.usefixtures('eager')
def test_deeplab2_from_file_to_panoptic_map(tmp_path, shared_dir, oracle):
  published = oracle('deeplab2/panoptic_small_noaspp')
  (tmp_path / 'spec.json').write_text(json.dumps(_coco_with_void()))
  (tmp_path / 'small.gin').write_text(_PANOPTIC)
  (tmp_path / 'image.png').write_bytes(b'')
  Image.fromarray(published['image'][0]).save(tmp_path / 'image.png')
  folder = str(tmp_path / 'run')
  done = _import(
      '--source=deeplab2', f'--gin_file={tmp_path}/small.gin',
      f'--input={shared_dir}/oracles/deeplab2/panoptic_small_noaspp.ckpt',
      f'--gin_params=SPEC = "{tmp_path}/spec.json"', f'--output_dir={folder}')
  assert done.returncode == 0, done.stderr
  assert 'loaded: 808 ' in done.stdout
  assert 'unused by the model: 0' in done.stdout
  assert "PanopticDeepLabSettings.padding = 'gray'" in open(
      f'{folder}/config.gin').read()
  result = axial_tf.Predictor(folder)(str(tmp_path / 'image.png'))
  _require_same_segments(
      result.panoptic_map, published['post:panoptic_pred'][0],
      result.spec.void_label)


def test_deeplab2_backbone_meets_reference(shared_dir, oracle):
  reference = oracle('deeplab2/backbone_small_os16')
  model = settings_by_name.ROWS['axial_deeplab_s'].with_backbone(
      width_multiplier=0.25, stem_width_multiplier=0.25, blocks=(1, 2, 2, 1),
      span=None, stem_pooling=False).build(3)
  image = tf.constant(reference['input:65x65'])
  model(image)
  report = initialization.assign(model, deeplab2.arrays(deeplab2.read(
      str(shared_dir / 'oracles/deeplab2/backbone_small.ckpt'))), 'oracle')
  assert len(report.loaded) == 287
  assert not report.unused and not report.mismatched
  assert not any(name.startswith('backbone/') for name in report.missing)
  for name, features in model.backbone(image).items():
    np.testing.assert_allclose(
        features, reference[f'out:65x65:{name.replace("stem", "res1")}'],
        atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_the_authors_classifier_from_file_to_logits(
    tmp_path, shared_dir, oracle):
  published = oracle('csrhddlam/axial26s_io')
  folder = str(tmp_path / 'run')
  path = str(shared_dir / 'oracles/csrhddlam/axial26s.pth')
  done = _import('--source=csrhddlam', f'--input={path}',
                 f'--output_dir={folder}')
  assert done.returncode == 0, done.stderr
  assert 'missing in the checkpoint: 0' in done.stdout
  inference = restore.load_inference(folder)
  # The authors' network gets it standardized.
  standard = published['input_nchw'].transpose(0, 2, 3, 1)
  pixels = standard * [0.229, 0.224, 0.225] + [0.485, 0.456, 0.406]
  images = (2 * pixels - 1).astype(np.float32)
  np.testing.assert_allclose(
      inference.model(images), published['logits'], atol=2e-5)
  np.testing.assert_allclose(
      inference.model.backbone(images)['res5'].numpy(),
      published['layer4'].transpose(0, 2, 3, 1), atol=1e-4)
  assert inference.model.backbone.count_params() > 3e6
  # The count of PyTorch, but for longer tables of positions.
  state = torch_files.read_state(path)
  assert csrhddlam.structure(state) == (0.5, (1, 2, 4, 1))
  shutil.rmtree(folder)
  done = _import('--source=csrhddlam', f'--input={path}',
                 f'--output_dir={folder}', '--gin_params=WIDTH = 1.0')
  assert done.returncode == 1 and done.stderr.count('\n') == 1
  assert 'of another shape' in done.stderr and not os.path.exists(folder)


@pytest.mark.parametrize('arguments, part', [
    ((), '--source is missing'),
    (('--source=csrhddlam', '--input=gone.pth'), 'gone.pth: cannot be read'),
    (('--source=deeplab2', '--input=gone'), '--gin_file is missing'),
    (('--source=csrhddlam', '--input={weights}', '--records=datasets/typo'),
     "--records: no files match 'datasets/typo/train-*.tfrecord' or "
     "'datasets/typo/val-*.tfrecord'"),
])
def test_errors_of_the_command_are_one_line(
    tmp_path, shared_dir, arguments, part):
  weights = shared_dir / 'oracles/csrhddlam/axial26s.pth'
  done = _import(*(argument.format(weights=weights) for argument in arguments),
                 f'--output_dir={tmp_path}/run')
  assert done.returncode == 1 and part in done.stderr
  assert done.stderr.count('\n') == 1 and not os.listdir(tmp_path)


def _coco_with_void():
  """DeepLab2's labels: void is 0, things are 1 to 80, stuff 81 to 133."""
  return {'name': 'coco133', 'label_divisor': 256, 'ignore_label': 255,
          'categories': [
              {'id': i, 'train_id': i, 'name': f'c{i}', 'color': [i, i, i],
               'is_thing': 1 <= i <= 80} for i in range(134)]}


def _require_same_segments(ours, theirs, void_label):
  """Labels number the things of a class in any order; void is 0 there."""
  ours = np.where(ours == void_label, 0, ours)
  pairs = {(a, b) for a, b in zip(ours.ravel(), theirs.ravel())}
  assert all(a // 256 == b // 256 for a, b in pairs)
  assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
  assert len(pairs) > 2


_PANOPTIC = """
include 'models/axial_deeplab_small_images.gin'
include 'datasets/splits.gin'
include 'runs/panoptic.gin'
RECORDS = %gin.REQUIRED
SPEC = ''
TRAIN_STEPS = 1
BATCH_SIZE = 1
LEARNING_RATE = 1e-3
WARMUP_STEPS = 0
WIDTH = 0.125
STEM_WIDTH = 0.25
BLOCKS = (3, 4, 6, 3)
HEADS = 8
SEMANTIC_CHANNELS = 32
INSTANCE_CHANNELS = 16
variant_settings.stem_pooling = False
semantic/BranchSettings.res3_channels = 16
semantic/BranchSettings.res2_channels = 8
instance/BranchSettings.res3_channels = 8
instance/BranchSettings.res2_channels = 4
instance/BranchSettings.head_channels = 8
PanopticTaskSettings.merging = @MergingSettings()
MergingSettings.stuff_area_limit = 64
MergingSettings.max_centers = 400
"""
