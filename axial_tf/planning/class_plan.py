"""Plans an experiment in image classification."""

from typing import List

from axial_tf.planning import (
  choices,
  class_facts,
  common_rules,
  machine,
  record_folder,
  schedule,
)
from axial_tf.planning import class_rules as rules

_INCLUDES = ('models/classifier_small_images.gin', 'datasets/imagenet.gin',
             'recipes/classification.gin')
_CONSTANTS = (
    "OptimizerSettings.name = 'sgd'",
    "OptimizerSettings.decay = 'cosine'",
    'RunSettings.seed = 1',
)


def plan(folder: record_folder.RecordFolder,
         facts: class_facts.ClassDataFacts, minutes: float,
         computer: machine.Machine) -> choices.Plan:
  """Chooses all settings, see `panoptic_plan.plan`."""
  size = rules.image_size(facts, computer.device)
  batch = rules.batch(facts, computer.device)
  fixed = [size, rules.validation_resize(size.value, facts), batch,
           rules.learning_rate(batch.value), rules.weight_decay(facts),
           rules.label_smoothing(facts), common_rules.mirrored(
               facts.looks, 'ClassificationAugmentationSettings'),
           choices.Choice(
               'ClassificationDataSettings.shuffle_buffer',
               min(facts.num_train, 50_000), f'{facts.num_train} training '
               f'images', 'all of them, if they are few'),
           choices.Choice(
               'RunSettings.validation_batch_size',
               max(1, min(200, facts.num_validation)),
               f'{facts.num_validation} validation images', 'quick')]
  chosen = schedule.choose(
      rules.LADDER, rules.REFERENCE,
      lambda rung: computer.time(_probe(folder, facts, fixed, computer, rung)),
      lambda timing: _schedule(facts, batch, minutes, timing),
      rules.LEAST_PASSES)
  rung, timing, found = chosen.rung, chosen.timing, chosen.schedule
  schedule.require_a_pass(
      found, minutes, timing, batch.value, facts.num_train,
      timing.image * facts.num_validation)
  network = choices.Choice(
      'network', f'{rung.spatial}, width {rung.width:g}, blocks {rung.blocks}',
      f'{timing.step:.3g} s a step on {computer.device.upper()}',
      chosen.reason)
  return choices.Plan(
      title=_title(folder, facts, minutes, computer, found),
      includes=_INCLUDES, macros=_macros(folder), findings=[network],
      choices=[
          common_rules.steps(found, timing.step),
          common_rules.warmup(found.steps), *fixed,
          *rules.crop(size.value, facts, found.passes),
          rules.mixup(found.passes),
          *common_rules.norm_momentum(found.steps),
          *common_rules.intervals(found)],
      constants=[rung.macros(), *computer.precision(), *_CONSTANTS],
      warnings=_warnings(facts, found, chosen.enough),
      train_seconds=found.train_seconds, total_seconds=found.total_seconds)


def _macros(folder):
  return [('RECORDS', folder.path), ('TRAIN_SPLIT', folder.train_split),
          ('VALIDATION_SPLIT', folder.validation_split)]


def _probe(folder, facts, fixed, computer, rung) -> str:
  any_steps = 1000
  return choices.Plan(
      ['Timed.'], _INCLUDES, _macros(folder), [], [
          *fixed, *rules.crop(fixed[0].value, facts, rules.LEAST_PASSES),
          common_rules.warmup(any_steps),
          choices.Choice('TRAIN_STEPS', any_steps, '', '')],
      [rung.macros(), *computer.precision(), *_CONSTANTS]).gin()


def _schedule(facts, batch, minutes, timing) -> schedule.Schedule:
  return schedule.fit(minutes, timing, batch.value, facts.num_train,
                      timing.image * facts.num_validation)


def _title(folder, facts, minutes, computer, found) -> List[str]:
  return [
      f'Planned for {minutes:g} minutes on {computer.name}. Edit it freely.',
      '',
      f'Data: {facts.num_train} training and {facts.num_validation} '
      f'validation images of {len(facts.class_images)} classes of '
      f'{folder.spec.name!r}, {facts.images.height} x {facts.images.width} '
      f'pixels (median).',
      found.predicted()]


def _warnings(facts, found, enough) -> List[str]:
  """Returns what the data and the budget are too small for."""
  notes = []
  if not enough:
    notes.append(schedule.too_short(
        found, rules.LADDER[0], rules.LEAST_PASSES))
  if rules.imbalance(facts):
    notes.append(rules.imbalance(facts))
  if facts.looks.mirrored is None:
    notes.append('too few images of a class to see whether they may be '
                 'mirrored: set horizontal_flip = False for letters')
  return notes
