"""Runs a conversion job, or resumes one that was stopped.

During a conversion, each finished shard has a report next to it. Shards are
made in the output folder itself or, if that contains an earlier conversion of
the split, in a hidden folder below it, so that the earlier one stays intact
until its replacement is complete. The reports are merged into one entry of
dataset_info.json, which is written last.
"""

import os
import re
import sys
from typing import Any, Callable, Dict, List, Sequence

import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_files
from axial_tf.files import folder_lock, paths
from data_prep.engine import dataset_info, faults, jobs, shards

# Makes the shards with these indices in a folder, with a report for each.
MakeShards = Callable[[jobs.Job, str, Sequence[int], faults.Faults], None]


def convert(job: jobs.Job, max_errors: int, make_shards: MakeShards
            ) -> Dict[str, Any]:
  """Makes the shards that do not exist yet.

  Args:
    job: the conversion.
    max_errors: maximal number of faulty images to skip; 0 stops at the first.
    make_shards: function that makes shards, on this machine or on others.

  Returns:
    The entry of the split in dataset_info.json.

  Raises:
    errors.UserError: faulty images, or a folder that cannot be written, has
      another data set or is in use. Finished shards stay for the next attempt.
  """
  info = dataset_info.read(job.output_dir, job.split.spec)
  if dataset_info.is_finished(job, info, max_errors):
    _remove_reports(job)
    return info['splits'][job.split.name]
  try:
    with folder_lock.held(job.output_dir, 'output_dir', job.split.name):
      return _make_and_publish(job, max_errors, make_shards)
  finally:
    _remove_empty(job.output_dir)


def _make_and_publish(job: jobs.Job, max_errors: int, make_shards: MakeShards
                      ) -> Dict[str, Any]:
  folder = _open_folder(job, dataset_info.read(job.output_dir, job.split.spec))
  kept = _keep_finished(job, folder, max_errors)
  collected = faults.Faults(max_errors)
  try:
    for report in kept.values():
      collected.extend(report.skipped)
    missing = [i for i, name in enumerate(job.shard_names) if name not in kept]
    if missing:
      make_shards(job, folder, missing, collected)
  except BaseException as error:
    if max_errors and collected.found:
      faults.write_report(job.output_dir, job.split.name, collected.found)
    finished = sum(tf.io.gfile.exists(shards.report_path(folder, name))
                   for name in job.shard_names)
    if not finished:
      _remove_empty(folder)
    elif isinstance(error, errors.UserError):
      raise errors.UserError(
          f'{error} ({finished} of {job.num_shards} shards are finished; the '
          f'same command resumes after them)') from error
    raise
  return _publish(job, folder)


def _open_folder(job: jobs.Job, info: Dict[str, Any]) -> str:
  """Returns the folder for new shards, cleared of half-written ones."""
  with shards.writing_errors(job.output_dir):
    staging = os.path.join(job.output_dir, f'.{job.split.name}.unfinished')
    tf.io.gfile.makedirs(job.output_dir)
    folder = job.output_dir
    if job.split.name in info['splits']:
      folder = staging
      tf.io.gfile.makedirs(folder)
    elif tf.io.gfile.isdir(staging):  # It was killed while publishing.
      _move_all(staging, job.output_dir)
    _remove(*_unfinished(job, folder), *_listed(
        job.output_dir, re.escape(record_files.DATASET_INFO) + r'\..*\.tmp'))
    if tf.io.gfile.isdir(job.tasks_folder(folder)):
      tf.io.gfile.rmtree(job.tasks_folder(folder))
  return folder


def _keep_finished(job: jobs.Job, folder: str, max_errors: int
                   ) -> Dict[str, shards.Report]:
  """Returns reports of this job's complete shards; removes other leftovers."""
  kept, replaced = {}, 0
  suffix = 'report.json'
  with shards.writing_errors(folder):
    for path in _listed(folder, _hidden(job, re.escape(suffix))):
      name = os.path.basename(path)[1:-len('.' + suffix)]
      report = shards.read_report(folder, name)
      if (report is not None and report.job == job.fingerprint
          and name in job.shard_names
          and (max_errors or not report.skipped)
          and shards.is_intact(
              folder, name, report.num_bytes, report.sha256)):
        kept[name] = report
        continue
      replaced += 1
      _remove(path, os.path.join(folder, name))
  if kept:
    print(f'{len(kept)} of {job.num_shards} shards of {job.split.name} are '
          f'finished and intact; resuming after them', file=sys.stderr)
  if replaced:
    print(f'replacing {replaced} shards of an unfinished conversion of '
          f'{job.split.name}: its input, options or version differed, or '
          f'they are damaged', file=sys.stderr)
  return kept


def _publish(job: jobs.Job, folder: str) -> Dict[str, Any]:
  """Adds a split whose shards are complete to dataset_info.json."""
  reports = _read_reports(job, folder)
  entry = dataset_info.describe(job, reports)
  name, output_dir = job.split.name, job.output_dir
  skipped = [fault for report in reports for fault in report.skipped]
  if not entry['num_images']:
    raise errors.UserError(
        f'no image of {name} could be converted; the first one: '
        f'{skipped[0][1]}')
  # Conversions of other splits write to the same file.
  with shards.writing_errors(output_dir), folder_lock.held(
      output_dir, 'output_dir', record_files.DATASET_INFO, patience=60):
    # Read again: another split may have been finished meanwhile.
    info = dataset_info.read(output_dir, job.split.spec)
    if folder != output_dir:
      info['splits'].pop(name, None)
      dataset_info.write(output_dir, info)
      _move_all(folder, output_dir)
    for path in _listed(output_dir, _shards(job)):
      if os.path.basename(path) not in job.shard_names:
        tf.io.gfile.remove(path)
    faults.write_report(output_dir, name, skipped)
    info['splits'][name] = entry
    dataset_info.write(output_dir, info)
    _remove_reports(job)
    _remove(*_unfinished(job, output_dir))  # Workers may have been killed.
  return entry


def _read_reports(job: jobs.Job, folder: str) -> List[shards.Report]:
  reports = []
  for name in job.shard_names:
    report = shards.read_report(folder, name)
    if report is None or report.job != job.fingerprint:
      raise errors.UserError(
          f'{os.path.join(folder, name)}: changed during the conversion; '
          f'run one conversion of {job.split.name} at a time')
    reports.append(report)
  return reports


def _shards(job: jobs.Job) -> str:
  """Returns a regular expression for the names of a split's shards."""
  return re.escape(job.split.name) + r'-\d{5}-of-\d{5}\.tfrecord'


def _hidden(job: jobs.Job, suffix: str) -> str:
  """Returns one for the hidden files of shards during a conversion."""
  return rf'\.{_shards(job)}\.{suffix}'


def _unfinished(job: jobs.Job, folder: str) -> List[str]:
  """Returns files that were being written when their process was killed."""
  return _listed(folder, _hidden(job, r'.*\.tmp'))


def _listed(folder: str, name: str) -> List[str]:
  """Returns the files in a folder whose names match a regular expression."""
  return [os.path.join(folder, entry)
          for entry in sorted(paths.listdir(folder))
          if re.fullmatch(name, entry)]


def _remove_reports(job: jobs.Job) -> None:
  _remove(*(shards.report_path(job.output_dir, name)
            for name in job.shard_names))


def _remove(*files: str) -> None:
  for path in files:
    if tf.io.gfile.exists(path):
      tf.io.gfile.remove(path)


def _remove_empty(folder: str) -> None:
  """Removes a folder if it is empty."""
  if tf.io.gfile.isdir(folder) and not paths.listdir(folder):
    tf.io.gfile.rmtree(folder)


def _move_all(source: str, target: str) -> None:
  """Moves shards, then their reports, and removes the empty folder."""
  for name in sorted(paths.listdir(source),
                     key=lambda name: (name.startswith('.'), name)):
    tf.io.gfile.rename(os.path.join(source, name), os.path.join(target, name),
                       overwrite=True)
  tf.io.gfile.rmtree(source)
