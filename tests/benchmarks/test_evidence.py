"""Finished and remaining runs of a comparison, their tables and curves."""

import json
import sys

import numpy as np
from PIL import Image
import pytest

from axial_tf import errors
from benchmarks import evidence

_STEPS = 1872  # Steps of the experiment.


def _run(folder, title, *scores):
  run = evidence.Run(
      folder, title, 'experiments/cifar10_axial_resnet.gin',
      ("RECORDS = '/nowhere'",))
  if scores:
    folder.mkdir()
    (folder / 'metrics.jsonl').write_text(''.join(
        json.dumps({'step': step, 'top1': value}) + '\n'
        for step, value in scores))
  return run


def test_curves_and_remaining_runs(tmp_path):
  done = _run(tmp_path / 'a', 'A', (0, 0.1), (_STEPS, 0.5), (_STEPS, 0.6))
  assert evidence.curve(done, 'top1') == {0: 0.1, _STEPS: 0.6}
  assert evidence.is_complete(done)
  assert not evidence.is_complete(_run(tmp_path / 'b', 'B', (10, 0.9)))
  assert not evidence.is_complete(_run(tmp_path / 'c', 'C'))


def test_tables_show_means_of_seeds_and_unfinished_runs(tmp_path, capsys):
  runs = (
      _run(tmp_path / 'one', 'two seeds', (10, 0.3), (_STEPS, 0.5)),
      _run(tmp_path / 'two', 'two seeds', (10, 0.5), (_STEPS, 0.75)),
      _run(tmp_path / 'part', 'stopped', (10, 0.25)),
      _run(tmp_path / 'none', 'never begun'))
  evidence.report(evidence.Comparison(
      'things', runs, ('top1',), has_costs=False), str(tmp_path))
  lines = capsys.readouterr().out.splitlines()
  assert '62.50 (50.00-75.00)' in lines[2] and 'not' not in lines[2]
  assert '25.00' in lines[3] and 'not finished: part' in lines[3]
  assert ' - ' in lines[4] and 'not finished: none' in lines[4]
  with Image.open(tmp_path / 'things.png') as picture:
    # Not only the axes: lines have colors.
    pixels = np.asarray(picture.convert('RGB'), int)
  assert np.sum(np.ptp(pixels, axis=-1) > 90) > 50


def test_costs_are_those_of_the_model_that_is_trained(
    tmp_path, monkeypatch, eager):
  def once(functions, runs):
    gradients = functions['step']()
    assert all(gradient is not None for gradient in gradients)
    return {'step': 40.0}

  monkeypatch.setattr(evidence.measure, 'median_times', once)
  parameters, madds, speed = evidence.costs(evidence.Run(
      tmp_path, 'small', 'experiments/camvid.gin', (
          "RECORDS = '/nowhere'", 'BATCH_SIZE = 1',
          'AugmentationSettings.crop_size = (65, 97)')))
  assert parameters == pytest.approx(1.4396, abs=1e-4)
  # 672 million for 193x241 pixels.
  assert madds == pytest.approx(672 * 65 * 97 / (193 * 241), rel=0.1)
  assert speed == 25


def test_a_failed_run_stops_the_comparison(tmp_path, monkeypatch):
  python = tmp_path / 'python'
  python.write_text(
      f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/calls\nexit 1\n')
  python.chmod(0o755)
  monkeypatch.setattr(sys, 'executable', str(python))
  runs = [_run(tmp_path / name, 'A') for name in 'ab']
  with pytest.raises(errors.UserError, match='run in .*/a has failed'):
    evidence.train_missing(runs)
  assert (tmp_path / 'calls').read_text().splitlines() == [
      '-m', 'axial_tf.train',
      '--gin_file=experiments/cifar10_axial_resnet.gin',
      "--gin_params=RECORDS = '/nowhere'", f'--model_dir={tmp_path}/a',
      '--mode=train_and_eval']
