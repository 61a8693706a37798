"""Compares the four systems of the paper's main table, small, in equal time.

Axial-DeepLab, Panoptic-DeepLab on a ResNet, DeeperLab and SSAP, with backbones
of one width and depth and one recipe. Each trains for as many steps as fit the
minutes by its own speed, which is measured once and kept in steps.json; compare
on a machine that does nothing else. Trains the missing runs, then prints the
tables; rerun the same command to resume.

  python benchmarks/systems.py --records=datasets/camvid --minutes=10 \\
    --output_dir=runs/systems_camvid --seeds=2

Other data need crops of their own size:

  python benchmarks/systems.py --records=datasets/nuclei --crop=193,193 \\
    --minutes=10 --output_dir=runs/systems_nuclei --seeds=2

The parts 'deeperlab' and 'ssap' train each of these with one setting changed,
in the steps of its run among the four, which they share:

  python benchmarks/systems.py --records=datasets/camvid --minutes=10 \\
    --output_dir=runs/systems_camvid --parts=deeperlab,ssap
"""

import dataclasses
import json
import pathlib
import sys
from typing import Dict, Sequence, Tuple

from absl import flags
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli, errors
from axial_tf.experiment import config
from axial_tf.experiment import run as run_lib
from axial_tf.files import atomic_files, json_files
from axial_tf.specs import dataset_spec
from axial_tf.tasks import registry
from benchmarks import evidence, measure

FLAGS = flags.FLAGS

_AXIAL, _DEEPLAB, _DEEPERLAB, _SSAP = (
    'Axial-DeepLab', 'Panoptic-DeepLab', 'DeeperLab', 'SSAP')
# The experiment and its bindings by title; all widths are 0.25.
SIDES = {
    _AXIAL: ('experiments/camvid.gin',),
    _DEEPLAB: ('experiments/camvid.gin',
               "variant_settings.spatial = 'convolution'"),
    _DEEPERLAB: ('experiments/camvid_deeperlab.gin',),
    _SSAP: ('experiments/camvid_ssap.gin',),
}
# Changes of one setting, by part and title. Braces are fields of the data set's
# merging settings.
ABLATIONS = {
    _DEEPERLAB.lower(): (_DEEPERLAB, {
        'hardest 15 % of pixels': (
            'DeeperLabLossSettings.semantic_top_k = 0.15',),
        'small instances weigh 1': (
            'KeypointTargetSettings.small_instance_weight = 1.0',),
        'kernels of 3x3': ('DeeperLabSettings.kernel_size = 3',),
    }),
    _SSAP.lower(): (_SSAP, {
        'affinities not balanced': (
            'AffinityLossSettings.easy_drop_rate = 0.0',
            'AffinityLossSettings.object_weight = 1.0'),
        'window of 3x3': ('SSAPSettings.window = 3',),
        'window of 7x7': ('SSAPSettings.window = 7',),
        'affinities of stride 4 only': (
            'AffinityLossSettings.level_weights = (0.0, 0.0, 0.0, 0.0, 1.0)',
            'PanopticTaskSettings.merging = @CascadeSettings()',
            'CascadeSettings.start_stride = 4',
            'CascadeSettings.stuff_area_limit = {stuff_area_limit}'),
    }),
}
_SCORES = ('pq', 'pq_things', 'pq_stuff', 'pc', 'miou')


def bindings(records: str, crop: Sequence[int]) -> Tuple[str, ...]:
  """Returns what all sides share."""
  return (
      f'RECORDS = {records!r}', f'SPEC = {_spec_path(records)!r}',
      f'AugmentationSettings.crop_size = {tuple(crop)!r}',
      *evidence.SHORT_TRAINING_NORMS)


def _spec_path(records: str) -> str:
  return str(pathlib.Path(records) / 'dataset_info.json')


def steps_by_title(shared: Tuple[str, ...], minutes: float,
                   path: pathlib.Path) -> Dict[str, int]:
  """Returns the training steps of each side, measured once.

  Args:
    shared: see `bindings`.
    minutes: time of the training steps.
    path: file that keeps them; edit it for other steps.

  Raises:
    errors.UserError: the file does not have them.
  """
  if path.exists():
    again = 'delete it to measure again'
    content = json_files.read(str(path), 'training steps by system', again)
    return {title: json_files.field(content, title, int, str(path), again)
            for title in SIDES}
  found = {}
  for title, (experiment, *own) in SIDES.items():
    seconds = measure.in_new_process(
        step_seconds, experiment, (*shared, *own))
    found[title] = max(1, round(60 * minutes / seconds))
    print(f'{title}: {seconds:.3g} s a step, {found[title]} steps',
          file=sys.stderr, flush=True)
  atomic_files.write(str(path), (json.dumps(found, indent=1) + '\n').encode())
  return found


def step_seconds(experiment: str, settings: Tuple[str, ...]) -> float:
  """Returns the time of a training step with its input pipeline."""
  return run_lib.measure(config.parse([experiment], settings), 1).step_seconds


def comparison(shared: Tuple[str, ...], steps: Dict[str, int],
               output_dir: pathlib.Path, seeds: int) -> evidence.Comparison:
  """Returns the runs of all sides."""
  return evidence.Comparison('systems', tuple(
      _run(shared, steps, output_dir, seed, title)
      for seed in range(1, seeds + 1) for title in SIDES), _SCORES)


def ablation(part: str, shared: Tuple[str, ...], steps: Dict[str, int],
             output_dir: pathlib.Path, seeds: int,
             spec: dataset_spec.DatasetSpec) -> evidence.Comparison:
  """Returns the runs of one system, with and without each change."""
  title, changes = ABLATIONS[part]
  merging = dataclasses.asdict(spec.merging_settings())
  return evidence.Comparison(part, tuple(
      _run(shared, steps, output_dir, seed, title, change,
           [binding.format(**merging) for binding in bindings])
      for change, bindings in {'': (), **changes}.items()
      for seed in range(1, seeds + 1)), _SCORES)


def _run(shared, steps, output_dir, seed, title, change='', changed=()
         ) -> evidence.Run:
  experiment, *own = SIDES[title]
  name = '_'.join([title.lower(), *change.replace('%', '').split()])
  return evidence.Run(
      output_dir / f'{name}_seed{seed}', change or title, experiment,
      (*shared, *own, *changed, f'RunSettings.seed = {seed}',
       f'TRAIN_STEPS = {steps[title]}',
       f'WARMUP_STEPS = {steps[title] // 10}',
       f'RunSettings.validation_interval = {steps[title]}'))


def inference_speed(run: evidence.Run) -> float:
  """Returns images/s of decoded panoptic maps, of one image a time.

  The image is a validation image, and the network the run's.
  """
  from axial_tf.experiment import restore

  inference = restore.load_inference(str(run.folder)).traced()
  settings = config.parse([run.gin_file], run.bindings)
  task = registry.build(settings.task, settings.run, settings.optimizer)
  batch = next(iter(task.build_inputs('validation')))
  image = batch['image'][:1, :batch['height'][0], :batch['width'][0]]
  segment = tf.function(inference.predict, autograph=False)
  return 1e3 / measure.median_times({'image': lambda: segment(image)}, 15)[
      'image']


def main() -> None:
  cli.require(output_dir='a folder', records='a folder of records')
  crop = [int(number) for number in cli.numbers('crop', FLAGS.crop)]
  shared = bindings(FLAGS.records, crop)
  folder = pathlib.Path(FLAGS.output_dir).absolute()
  if folder.is_file():
    raise errors.UserError(
        f'--output_dir: {folder} is a file, expected a folder')
  steps = steps_by_title(shared, FLAGS.minutes, folder / 'steps.json')
  made = comparison(shared, steps, folder, FLAGS.seeds)
  spec = dataset_spec.DatasetSpec.load(_spec_path(FLAGS.records))
  evidence.run_all([made, *(
      ablation(part, shared, steps, folder, FLAGS.seeds, spec)
      for part in ABLATIONS)])
  if made.name not in FLAGS.parts:
    return
  print('\nimages/s of panoptic maps, one image a time')
  for run in made.runs[:len(SIDES)]:
    if evidence.is_complete(run):
      speed = measure.in_new_process(inference_speed, run)
      print(f'  {run.title:24}{speed:8.1f}', flush=True)


if __name__ == '__main__':
  evidence.define_flags(('systems',), {'records': 'any data set'})
  flags.DEFINE_float('minutes', 10.0, 'time of the training steps of each.')
  flags.DEFINE_list('crop', ['193', '241'], 'height and width of the crops.')
  flags.DEFINE_integer('seeds', 1, 'number of seeds.', lower_bound=1)
  cli.run(main, __doc__)
