"""A dry run estimates the cost of a run and leaves no trace."""

import os
import re
import time

import pytest

from axial_tf import errors
from axial_tf.data.common import reading
from axial_tf.experiment import config, dry_run, run
from tests import tiny_classes

_EXPERIMENT = 'experiments/cifar10_axial_resnet.gin'


def _parse(records):
  return config.parse([_EXPERIMENT], [
      f"RECORDS = '{records}'", *tiny_classes.BINDINGS])


def test_it_estimates_a_runs_cost_and_writes_nothing(tmp_path, monkeypatch):
  records = tmp_path / 'records'
  records.mkdir()
  tiny_classes.write(records)
  for shard in records.glob('val-*'):  # Only training is tried.
    shard.unlink()
  (tmp_path / 'here').mkdir()
  monkeypatch.chdir(tmp_path / 'here')
  text = run.dry_run(_parse(records))
  parameters = int(re.search(
      r'parameters: ([\d,]+) trainable', text)[1].replace(',', ''))
  rows = re.findall(r'^  \S+ +\S+ +([\d,]+)$', text, re.MULTILINE)
  assert sum(int(row.replace(',', '')) for row in rows) == parameters > 0
  for words in ('billion for an image of 16 x 16', ' GB', 'for 12 steps'):
    assert words in text
  assert not os.listdir('.')


@pytest.mark.slow
def test_a_step_waits_for_its_batch_once_none_is_ready(tmp_path, monkeypatch):
  batches = dry_run._batches

  def slow(*args):
    for place, batch in enumerate(batches(*args)):
      time.sleep(0.2 if place > 1 else 0)
      yield batch

  monkeypatch.setattr(dry_run, '_batches', slow)
  monkeypatch.setattr(dry_run, '_STEPS', 3)
  found = run.measure(_parse(tiny_classes.write(tmp_path)), 0)
  assert found.step_seconds > 0.2


def test_no_thread_delays_its_end(tmp_path, monkeypatch):
  seen, untuned = [], reading.untuned

  def watched(dataset):
    seen.append(untuned(dataset))
    return seen[-1]

  monkeypatch.setattr(reading, 'untuned', watched)
  run.dry_run(_parse(tiny_classes.write(tmp_path)))
  assert [x.options().autotune.enabled for x in seen] == [False]


def test_it_finds_missing_data(tmp_path):
  with pytest.raises(errors.UserError, match='dataset_info.json'):
    run.dry_run(_parse(tmp_path))
