"""Every gin file builds; mistakes in gin give one clear line."""

import pathlib
import re

import gin
import pytest
import tensorflow as tf

from axial_tf import errors
from axial_tf.experiment import config, run_folder
from axial_tf.models import (
  ablations,
  classifier,
  panoptic_deeplab,
  panoptic_networks,
  variants,
)
from axial_tf.specs import dataset_spec
from axial_tf.tasks import panoptic, registry

_CONFIGS = pathlib.Path(__file__).resolve().parents[2] / 'gin_configs'
_EXPERIMENTS = sorted(
    str(p.relative_to(_CONFIGS)) for p in _CONFIGS.glob('experiments/*.gin'))
_CLASSIFIERS = [name for name in _EXPERIMENTS if any(
    f"'{file}'" in (_CONFIGS / name).read_text() for file in (
        'models/classifier.gin', 'models/classifier_small_images.gin',
        'experiments/cifar10_axial_resnet.gin'))]
# Panoptic models of the paper, by its recipes.
_PUBLISHED = [name for name in _EXPERIMENTS if re.search(
    '/(coco|cityscapes|mapillary)_((axial|panoptic)_deeplab|deeperlab|ssap)_',
    name)]
# Settings that the user must give.
_REQUIRED = ["RECORDS = '/nowhere'"]


@pytest.mark.parametrize('name', sorted(
    {*_EXPERIMENTS} - {*_CLASSIFIERS} - {*_PUBLISHED}))
def test_every_experiment_parses_and_its_model_runs(name):
  experiment = config.parse([name], _REQUIRED)
  assert isinstance(experiment.task, panoptic.PanopticTaskSettings)
  spec = dataset_spec.DatasetSpec.load(experiment.task.spec)
  model = panoptic_networks.build(experiment.task.model, spec.num_classes)
  outputs = model(tf.zeros([1, 33, 49, 3]), training=False)
  assert outputs['semantic_logits'].shape == [1, 33, 49, spec.num_classes]
  if isinstance(model, panoptic_deeplab.PanopticDeepLab):
    assert outputs['offset'].shape == [1, 33, 49, 2]


@pytest.mark.parametrize('name', _PUBLISHED)
def test_every_panoptic_experiment_is_its_row_and_has_the_recipe(name):
  """tests/models/test_variants.py builds the rows and counts them."""
  experiment = config.parse([name], _REQUIRED)
  data, variant = re.fullmatch(
      r'experiments/([a-z]+)_(.*?)(?:_adam)?\.gin', name).groups()
  assert experiment.task.model == variants.VARIANTS[variant].settings
  spec = dataset_spec.DatasetSpec.load(experiment.task.spec)
  assert spec.name.startswith(data)
  run, crop = experiment.run, experiment.task.data.augmentation.crop_size
  assert (run.train_steps, run.global_batch_size, crop) == {
      'coco': (200_000, 64, (1025, 1025)),
      'cityscapes': (60_000, 32, (1025, 2049)),
      'mapillary': (150_000, 64, (1025, 1025))}[data]
  optimizer = experiment.optimizer
  assert optimizer.decay == 'poly' and optimizer.weight_decay == 0
  if name.endswith('_adam.gin'):
    assert (optimizer.name, optimizer.learning_rate) == ('adam', 1e-4)
  else:
    assert (optimizer.name, optimizer.learning_rate) == (
        'radam_lookahead', 1e-3)
    assert optimizer.warmup_steps > 0


def test_any_row_can_be_trained():
  name = 'axial_deeplab_l_os32_axial_decoder'
  experiment = config.parse(
      ['runs/cityscapes.gin'], _REQUIRED + [f"VARIANT = '{name}'"])
  assert experiment.task.model == ablations.ABLATIONS[name].settings


@pytest.mark.parametrize('data', ['coco', 'cityscapes', 'mapillary'])
def test_there_is_an_experiment_for_each_size_of_axial_deeplab(data):
  for size in ('s', 'm', 'l', 'xl'):
    assert f'experiments/{data}_axial_deeplab_{size}.gin' in _PUBLISHED


@pytest.mark.parametrize('name', _EXPERIMENTS)
def test_every_experiment_opens_with_its_description(name):
  head = (_CONFIGS / name).read_text().split('\n\n')[0]
  for word in ('Reproduces:', 'Expected:', 'Meant for:', 'Command:'):
    assert word in head, f'{name}: its first comment lacks "{word}"'


def test_cifar10_compares_nets_of_one_recipe_and_size():
  axial, resnet = (
      config.parse([f'experiments/cifar10_{name}.gin'], _REQUIRED)
      for name in ('axial_resnet', 'resnet'))
  assert axial.run == resnet.run and axial.optimizer == resnet.optimizer
  assert axial.task.data == resnet.task.data
  sizes = []
  for experiment in (axial, resnet):
    model = classifier.Classifier(experiment.task.model, 10)
    model(tf.zeros([1, 32, 32, 3]))
    sizes.append((sum(v.shape.num_elements()
                      for v in model.trainable_variables),
                  model.multiply_adds(32, 32)))
  assert sizes == [(1_312_298, 30_405_632), (1_337_546, 30_924_288)]


# The networks of csrhddlam are tested with the import of their weights.
@pytest.mark.parametrize('name', [
    name for name in _CLASSIFIERS
    if 'imagenet' in name and 'csrhddlam' not in name])
def test_every_classifier_is_its_row_and_has_the_recipe(name):
  """tests/models/test_variants.py builds the rows and counts them."""
  experiment = config.parse([name], _REQUIRED)
  variant = re.sub('full_(.)', r'\1_full', name.split('imagenet_')[1][:-4])
  assert experiment.task.model.backbone == variants.VARIANTS[variant].settings
  assert experiment.task.data.image_size == (224, 224)
  assert experiment.task.data.validation_resize == 256
  run, optimizer = experiment.run, experiment.optimizer
  images = run.train_steps * run.global_batch_size
  assert images == pytest.approx(130 * 1_281_167, rel=1e-4)
  warmup = optimizer.warmup_steps * run.global_batch_size
  assert warmup == pytest.approx(10 * 1_281_167, rel=1e-4)
  assert optimizer.learning_rate * 1024 == pytest.approx(
      0.4 * run.global_batch_size)
  assert run.global_batch_size == (512 if 'full' in name else 1024)


def test_every_gin_file_is_included_somewhere():
  included = ' '.join(p.read_text() for p in _CONFIGS.glob('*/*.gin'))
  for path in _CONFIGS.glob('*/*.gin'):
    # Data sets that users add to an experiment have tests of their own, below.
    if path.parent.name != 'experiments' and path.stem not in (
        'tfds_coco', 'tfds_imagenet'):
      assert f"'{path.relative_to(_CONFIGS)}'" in included, path


def test_coco_of_tensorflow_datasets_takes_the_place_of_records():
  experiment = config.parse(
      ['experiments/coco_sample.gin', 'datasets/tfds_coco.gin'])
  data = experiment.task.data
  assert data.train_pattern == 'tfds:coco/2017_panoptic/train'
  assert data.validation_pattern == 'tfds:coco/2017_panoptic/validation'


@pytest.mark.parametrize('name, records, expected', [
    ('imagenet', ["RECORDS = '/r'"], ('/r/train-*.tfrecord',
                                      '/r/val-*.tfrecord')),
    ('tfds_imagenet', [], ('tfds:imagenet2012/train',
                           'tfds:imagenet2012/validation'))])
def test_data_of_classifiers(name, records, expected):
  gin.clear_config()
  config.parse_file(f'datasets/{name}.gin')
  gin.parse_config([
      *records, "ClassificationAugmentationSettings.policy = 'rand_augment'"])
  data = gin.get_configurable('ClassificationDataSettings')()
  assert (data.train_pattern, data.validation_pattern) == expected
  assert data.augmentation.policy == 'rand_augment'


def test_a_binding_overrides_the_file():
  experiment = config.parse(
      ['experiments/demo.gin'], _REQUIRED + ['TRAIN_STEPS = 7'])
  assert experiment.run.train_steps == 7


def test_the_raw_text_rebuilds_the_same_experiment(tmp_path):
  experiment = config.parse(['experiments/demo.gin'], _REQUIRED)
  (tmp_path / 'config.gin').write_text(experiment.gin_text)
  assert config.parse([str(tmp_path / 'config.gin')]) == experiment
  (tmp_path / 'operative.gin').write_text(experiment.operative_text)
  assert config.parse([str(tmp_path / 'operative.gin')]) == experiment


def test_the_saved_configuration_is_not_that_of_the_last_parse(tmp_path):
  experiment = config.parse(
      ['experiments/demo.gin'], _REQUIRED + ['TRAIN_STEPS = 7'])
  config.parse(['experiments/imagenet_csrhddlam.gin'], _REQUIRED)
  spec = registry.of(experiment.task).load_spec(experiment.task)
  run_folder.save_configuration(str(tmp_path), experiment, spec)
  assert config.parse([str(tmp_path / 'config.gin')]) == experiment
  assert dataset_spec.DatasetSpec.load(
      str(tmp_path / 'dataset_spec.json')) == spec


def test_assumed_bindings_rank_between_files_and_bindings():
  assumed = ['RunSettings.train_steps = 5', 'RunSettings.seed = 3',
             'MergingSettings.nms_kernel = 3']  # Used nowhere.
  run = config.parse(
      ['experiments/demo.gin'], [*_REQUIRED, 'RunSettings.seed = 4'], assumed
  ).run
  assert (run.train_steps, run.seed) == (5, 4)


@pytest.mark.parametrize('binding, words', [
    ('RunSettings.train_step = 7', ['RunSettings', 'train_step']),
    ('RunSettingz.train_steps = 7', ['RunSettingz']),
    ("TRAIN_STEPS = 'eight'", ['RunSettings.train_steps', 'int', "'eight'"]),
    ('TRAIN_STEPS = 0', ['RunSettings.train_steps', '>= 1']),
    ('OptimizerSettings.learning_rate = -1.0', ['learning_rate', '> 0']),
    ('RunSettings.train_steps = %NO_SUCH_MACRO', ['NO_SUCH_MACRO']),
    ('RunSettings.train_steps = ', ['RunSettings.train_steps']),
    ('TRAIN_STEP = 7', ['TRAIN_STEP is not used']),
    ("Experiment.gin_text = 'x'", ['Experiment', 'gin_text']),
    ('MergingSettings.nms_kernel = 3',
     ['nms_kernel is not used', 'refers to @MergingSettings()']),
])
def test_mistakes_in_bindings_are_named(binding, words):
  with pytest.raises(errors.UserError) as caught:
    config.parse(['experiments/demo.gin'], _REQUIRED + [binding])
  message = str(caught.value)
  assert '\n' not in message
  for word in words:
    assert word in message


def test_a_missing_file_is_named():
  with pytest.raises(errors.UserError, match='experiments/no_such.gin'):
    config.parse(['experiments/no_such.gin'])


def test_required_settings_are_named():
  with pytest.raises(errors.UserError, match='RECORDS|REQUIRED|required'):
    config.parse(['experiments/demo.gin'])


@pytest.mark.parametrize('make, message', [
    (lambda path: path.mkdir(), 'expected a gin file, got a folder'),
    (lambda path: path.write_text(''), 'which sets Experiment.task, got none'),
    (lambda path: path.write_text("include 'absent.gin'"),
     r'absent\.gin: no such gin file; looked next to .*mine\.gin, in the '
     r'current folder and in gin_configs/'),
], ids=['folder', 'empty', 'include'])
def test_files_that_are_not_experiments_are_refused(tmp_path, make, message):
  path = tmp_path / 'mine.gin'
  make(path)
  with pytest.raises(errors.UserError, match=message):
    config.parse([str(path)])
