"""Runs differ in one option of the network."""

from axial_tf.experiment import config
from axial_tf.planning import panoptic_plan, record_folder
from benchmarks import option_effects
from tests.planning import plans, tiny_scenes


def _options(task):
  return {
      'vertical flips': task.data.augmentation.vertical_flip,
      'quarter turns': task.data.augmentation.quarter_turns,
      'sigma by size': task.data.targets.sigma_by_size,
      'heads at stride 2': task.model.heads_stride,
      'border weight 3': task.losses.boundary_weight,
      'hardest half': task.losses.semantic_top_k,
  }


def test_each_run_switches_one_option_of_a_plan(tmp_path):
  folder = record_folder.find(tiny_scenes.write(tmp_path))
  planned = tmp_path / 'planned.gin'
  planned.write_text(panoptic_plan.plan(
      folder, plans.cells(), 20, plans.computer()).gin())
  runs = option_effects.comparison(
      str(planned), str(tmp_path), steps=50, seeds=2).runs
  parsed = {run.folder.name: config.parse([run.gin_file], run.bindings)
            for run in runs}
  none = _options(parsed['none_seed1'].task)
  assert list(none.values()) == [False, False, 0, 4, 1, 1]
  for name, experiment in parsed.items():
    assert experiment.run.train_steps == 50
    assert experiment.run.seed == int(name[-1])
    title = name[:-6].replace('_', ' ')
    if title != 'as planned':
      found = _options(experiment.task)
      assert {key for key in none if found[key] != none[key]} == (
          {title} - {'none'})
  as_planned = config.parse([str(planned)])
  assert _options(parsed['as_planned_seed1'].task) == _options(as_planned.task)
  only = option_effects.comparison(
      str(planned), str(tmp_path), 50, 1, ['sigma by size'])
  assert [run.title for run in only.runs] == ['sigma by size']
