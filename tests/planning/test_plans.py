"""Plans are ordinary experiments, and fit data of all proportions."""

import dataclasses
import re

import pytest

from axial_tf import errors
from axial_tf.experiment import config, dry_run, run
from axial_tf.planning import panoptic_plan, planner, record_folder
from tests import tiny_classes, tools
from tests.planning import plans, tiny_scenes


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return record_folder.find(tiny_scenes.write(tmp_path_factory.mktemp('disks')))


def _parse(plan, tmp_path):
  path = tmp_path / 'planned.gin'
  path.write_text(plan.gin())
  return config.parse([str(path)])


_BARE = dataclasses.replace(
    plans.facts(), instances=None, classes=plans.facts().classes[2:])


@pytest.mark.parametrize('facts', [
    plans.facts(), plans.cells(), _BARE, plans.facts(num_train=1),
    dataclasses.replace(plans.cells(), small_stuff=None,
                        classes=plans.facts().classes[:1])])
def test_any_data_gives_a_valid_experiment(folder, tmp_path, facts):
  plan = panoptic_plan.plan(folder, facts, 20, plans.computer())
  experiment = _parse(plan, tmp_path)
  chosen = {c.name: c.value for c in plan.choices}
  assert experiment.run.train_steps == chosen['TRAIN_STEPS'] > 300
  assert experiment.run.global_batch_size == chosen['BATCH_SIZE']
  assert experiment.task.spec == folder.info_path
  assert experiment.task.data.augmentation.crop_size == chosen[
      'AugmentationSettings.crop_size']
  assert experiment.task.multi_scale.scales == chosen['SCALES']
  assert 18 * 60 < plan.total_seconds < 20 * 60
  assert plan.train_seconds < plan.total_seconds
  # Each choice has its reason, in the file and in the table.
  for choice in plan.choices:
    assert f'{choice.name} = ' in plan.gin()
    assert choice.why in plan.table()
  assert max(map(len, plan.gin().splitlines())) <= 110


def test_digits_are_not_mirrored_and_cells_are(folder):
  def flips(facts):
    plan = panoptic_plan.plan(folder, facts, 20, plans.computer())
    return {c.name: c.value for c in plan.choices}[
        'AugmentationSettings.horizontal_flip']

  assert flips(plans.cells())
  assert not flips(plans.facts(
      shapes=dataclasses.replace(plans.UPRIGHT, mirrored=1.3)))


def test_more_time_gives_a_larger_network_and_attention(folder, tmp_path):
  def network(minutes, **machine):
    plan = panoptic_plan.plan(
        folder, plans.facts(), minutes, plans.computer(**machine))
    backbone = _parse(plan, tmp_path).task.model.backbone
    return backbone.spatial, backbone.width_multiplier

  assert network(4) == ('convolution', 0.125)
  assert network(30) == ('convolution', 0.25)
  assert network(120) == ('convolution', 0.375)
  assert network(3000) == ('axial', 0.5)
  assert network(30, step=0.03) == ('axial', 0.375)


def test_what_is_too_small_is_said(folder):
  def notes(facts, minutes=20.0, **machine):
    return ' '.join(panoptic_plan.plan(
        folder, facts, minutes, plans.computer(**machine)).warnings)

  assert 'label more' in notes(plans.facts(num_train=3))
  assert 'no things' in notes(_BARE)
  assert 'budget is too small' in notes(plans.facts(), 3)
  assert 'smaller than 2' in notes(plans.facts(instances=dataclasses.replace(
      plans.THINGS, diameters=(2, 20, 30, 40))))
  assert notes(plans.facts(), 60) == ''
  wide = dataclasses.replace(plans.IMAGES, height=100, width=800, long_side=800)
  assert 'larger than the crop' in notes(plans.facts(
      images=wide, instances=dataclasses.replace(plans.THINGS, extent=300)))
  with pytest.raises(errors.UserError, match='at least 10 for one pass'):
    notes(plans.facts(), 9, step=6.0)
  assert 'budget is too small' in notes(plans.facts(), 10, step=6.0)


def test_a_gpu_gets_more_pixels(folder):
  large = plans.facts(images=dataclasses.replace(
      plans.IMAGES, height=1000, width=2000, long_side=2000))

  def crop(device):
    plan = panoptic_plan.plan(folder, large, 60, plans.computer(device=device))
    return {c.name: c.value for c in plan.choices}[
        'AugmentationSettings.crop_size']

  assert crop('cpu') == (257, 257)
  assert crop('gpu') == (513, 641)


@pytest.mark.slow
@pytest.mark.parametrize('write, measured', [
    (tiny_classes.write, '3 classes'),
    (tiny_scenes.write, 'median diameter 7.9')])
def test_the_command_plans_what_a_dry_run_confirms(
    tmp_path, eager, monkeypatch, write, measured):
  monkeypatch.setattr(dry_run, '_STEPS', 2)
  (tmp_path / 'records').mkdir()
  output = tmp_path / 'new' / 'planned.gin'
  arguments = (f'--records={write(tmp_path / "records")}', '--minutes=1',
               f'--output={output}')
  done = tools.run('axial_tf.plan', *arguments)
  assert done.returncode == 0, done.stderr
  assert f'--gin_file={output}' in done.stdout
  assert measured in done.stdout
  predicted = float(re.search(r'predicted: ([\d.]+) minutes', done.stdout)[1])
  experiment = config.parse([str(output)])
  text = run.dry_run(experiment)
  seconds = float(re.search(r'time: ([\d.e+-]+) s a step', text)[1])
  # Steps this short vary much; longer ones agree within a quarter.
  assert 1 / 3 < seconds * experiment.run.train_steps / 60 / predicted < 3
  again = tools.run('axial_tf.plan', *arguments)
  assert again.returncode == 1 and '--overwrite' in again.stderr


def test_classification_is_planned(tmp_path):
  records = tiny_classes.write(tmp_path)
  plan = planner.plan(records, 30, plans.computer(step=0.2, image=0.001))
  experiment = _parse(plan, tmp_path)
  assert experiment.task.data.image_size == (16, 16)
  assert experiment.run.global_batch_size == 2
  assert experiment.task.model.backbone.spatial == 'axial'
  assert 'network' in plan.table()


@pytest.mark.parametrize('arguments, message', [
    ((), '--records is missing'),
    (('--records=x',), '--minutes is missing'),
    (('--records=x', '--minutes=-1'), 'minutes'),
    (('--records=x', '--minutes=0', '--output=y'), '--minutes is missing'),
    (('--records=nowhere', '--minutes=1', '--output=y.gin'), 'holds the spec'),
])
def test_mistakes_are_one_line(tmp_path, arguments, message):
  done = tools.run('axial_tf.plan', *arguments, cwd=tmp_path)
  assert done.returncode == 1
  assert message in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
