"""Plans an experiment in panoptic segmentation."""

import dataclasses
from typing import List, Optional

from axial_tf.planning import (
  choices,
  common_rules,
  machine,
  panoptic_facts,
  record_folder,
  schedule,
)
from axial_tf.planning import panoptic_rules as rules

_INCLUDES = ('models/axial_deeplab_small_images.gin', 'datasets/splits.gin',
             'recipes/panoptic.gin')
_CONSTANTS = (
    'PanopticTaskSettings.losses = @LossSettings()',
    'PanopticTaskSettings.merging = @MergingSettings()',
    'PanopticDataSettings.targets = @TargetSettings()',
    "OptimizerSettings.name = 'adam'",
    "OptimizerSettings.decay = 'cosine'",
    'OptimizerSettings.beta_2 = 0.99',
    'AugmentationSettings.scale_step = 0.0',
    'RunSettings.seed = 1',
)
# Decoded images that stay in memory: bytes of a pixel with its label, and the
# share of the machine's memory that they may take.
_BYTES_PER_PIXEL = 7
_CACHE_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class _Fixed:
  """What does not depend on the network and its time."""

  scale: choices.Choice
  crop: choices.Choice
  batch: choices.Choice
  frozen_share: choices.Choice
  flip: choices.Choice
  others: List[choices.Choice]

  @property
  def phases(self) -> int:
    """Number of times that the training step is traced."""
    return 2 if self.frozen_share.value else 1


def plan(folder: record_folder.RecordFolder,
         facts: panoptic_facts.PanopticFacts, minutes: float,
         computer: machine.Machine) -> choices.Plan:
  """Chooses all settings.

  Args:
    folder: the records.
    facts: what was measured in them.
    minutes: time for training with validations.
    computer: the machine that trains.

  Raises:
    errors.UserError: the time is too short for one pass over the images.
  """
  fixed = _fixed(facts, computer)
  chosen = schedule.choose(
      rules.LADDER, rules.REFERENCE,
      lambda rung: computer.time(_probe(folder, facts, fixed, computer, rung)),
      lambda timing: _schedule(facts, fixed, minutes, timing),
      rules.LEAST_PASSES)
  schedule.require_a_pass(
      chosen.schedule, minutes, chosen.timing, fixed.batch.value,
      facts.num_train,
      _validation_seconds(facts, fixed, minutes, chosen.timing), fixed.phases)
  return _written(folder, facts, minutes, computer, fixed, chosen)


def _fixed(facts, computer) -> _Fixed:
  scale = rules.scale(facts, computer.device)
  s = scale.value
  batch = rules.batch(facts, computer.device)
  return _Fixed(
      scale, rules.crop(facts, s, computer.device), batch,
      rules.frozen_share(batch.value),
      common_rules.mirrored(facts.shapes, 'AugmentationSettings'),
      [each for each in (
          rules.max_long_side(facts, s), *rules.turned(facts),
          *rules.brightness(facts), _cache(facts, computer),
          rules.sigma(facts, s), rules.sigma_by_size(facts),
          rules.small_instances(facts, s),
          rules.offset_scale(facts, s),
          rules.offset_weight(facts, s), rules.boundary_weight(facts, s),
          *rules.merging(facts, s))
       if each is not None])


def _probe(folder, facts, fixed: _Fixed, computer, rung: rules.Rung) -> str:
  """Returns the gin text of a network that is to be timed."""
  any_steps = 1000
  return choices.Plan(
      ['Timed.'], _INCLUDES, _macros(folder), [], [
          fixed.crop, fixed.batch, fixed.flip, *fixed.others,
          rules.accumulation(
              fixed.batch.value, fixed.crop.value, rung, computer.memory),
          rules.scale_range(fixed.scale.value, rules.LEAST_PASSES),
          common_rules.warmup(any_steps),
          choices.Choice('TRAIN_STEPS', any_steps, '', ''),
          rules.learning_rate(any_steps, rung),
          choices.Choice('SCALES', (max(fixed.scale.value, 1.0),), '', '')],
      [rung.macros(), *computer.precision(), *_CONSTANTS]).gin()


def _macros(folder):
  return [('RECORDS', folder.path), ('SPEC', folder.info_path),
          ('TRAIN_SPLIT', folder.train_split),
          ('VALIDATION_SPLIT', folder.validation_split)]


def _cache(facts, computer) -> Optional[choices.Choice]:
  size = (facts.num_train * facts.images.height * facts.images.width
          * _BYTES_PER_PIXEL)
  fits = bool(computer.memory) and size < _CACHE_SHARE * computer.memory
  return choices.Choice(
      'PanopticDataSettings.cache', fits, f'{size / 1e6:.3g} MB decoded',
      'decoded images stay in memory' if fits else
      'decoded images take too much memory')


def _views(facts, fixed, minutes, timing):
  return rules.views(facts, fixed.scale.value, fixed.flip.value, timing.image,
                     minutes)


def _validation_seconds(facts, fixed, minutes, timing) -> float:
  scales, flip = _views(facts, fixed, minutes, timing)
  return facts.num_validation * timing.image * rules.cost_of_views(
      scales.value, flip.value, max(fixed.scale.value, 1.0))


def _schedule(facts, fixed, minutes, timing) -> schedule.Schedule:
  return schedule.fit(
      minutes, timing, fixed.batch.value, facts.num_train,
      _validation_seconds(facts, fixed, minutes, timing), fixed.phases)


def _written(folder, facts, minutes, computer, fixed,
             chosen: schedule.Chosen) -> choices.Plan:
  rung, timing, found = chosen.rung, chosen.timing, chosen.schedule
  network = choices.Choice(
      'network', f'{rung.spatial}, width {rung.width:g}, blocks {rung.blocks}',
      f'{timing.step:.3g} s a step on {computer.device.upper()}',
      chosen.reason)
  return choices.Plan(
      title=_title(folder, facts, minutes, computer, found),
      includes=_INCLUDES, macros=_macros(folder),
      findings=[fixed.scale, network],
      choices=[
          common_rules.steps(found, timing.step), fixed.batch,
          rules.learning_rate(found.steps, rung),
          common_rules.warmup(found.steps),
          rules.accumulation(
              fixed.batch.value, fixed.crop.value, rung, computer.memory),
          fixed.crop, rules.scale_range(fixed.scale.value, found.passes),
          fixed.flip, *fixed.others,
          *_views(facts, fixed, minutes, timing),
          rules.center_weight(found.steps), rules.top_k(found.steps),
          *common_rules.norm_momentum(found.steps),
          fixed.frozen_share, *common_rules.intervals(found)],
      constants=[rung.macros(), *computer.precision(), *_CONSTANTS],
      warnings=_warnings(facts, fixed, found, chosen.enough),
      train_seconds=found.train_seconds, total_seconds=found.total_seconds)


def _title(folder, facts, minutes, computer, found) -> List[str]:
  return [
      f'Planned for {minutes:g} minutes on {computer.name}. Edit it freely.',
      '',
      f'Data: {facts.num_train} training and {facts.num_validation} '
      f'validation images of {folder.spec.name!r}, {facts.images.height} x '
      f'{facts.images.width} pixels (median); '
      f'classes that occur: {sum(c.is_thing for c in facts.classes)} of '
      f'things, {sum(not c.is_thing for c in facts.classes)} of stuff.',
      found.predicted()]


def _warnings(facts, fixed, found, enough) -> List[str]:
  """Returns what the data and the budget are too small for."""
  notes = []
  things = facts.instances
  if not enough:
    notes.append(schedule.too_short(
        found, rules.LADDER[0], rules.LEAST_PASSES))
  if found.passes < rules.FEW_PASSES:
    notes.append('few passes: expect blurred classes; more minutes help most')
  if facts.num_train < rules.BATCH['cpu']:
    notes.append(f'{facts.num_train} training images teach these images only; '
                 f'label more')
  if things is None:
    notes.append('no things in the images: only stuff is learned')
  if all(c.is_thing for c in facts.classes):
    notes.append('no stuff in the images: pixels between things stay unlabeled')
  if things and things.extent * fixed.scale.value > min(fixed.crop.value):
    notes.append(
        f'one thing in twenty is larger than the crop ({things.extent:.0f} '
        f'pixels at scale {fixed.scale.value:g}): centers outside it are not '
        f'learned')
  if things and things.diameters[0] * fixed.scale.value < 8:
    notes.append(
        f'one thing in ten is smaller than {things.diameters[0]:.2g} pixels '
        f'and will mostly be missed')
  if facts.images.long_side > 4 * max(facts.images.height, facts.images.width,
                                      rules.LONG_SIDE['gpu']):
    notes.append('huge images: predict them with --tile')
  if facts.shapes.mirrored is None and things:
    notes.append('too few things to see whether they may be mirrored: set '
                 'AugmentationSettings.horizontal_flip = False for letters')
  if rules.is_turned(facts):
    notes.append('images show no up and down; check that vertical flips make '
                 'sense')
  return notes
