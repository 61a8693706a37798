"""Reads and writes dataset_info.json, which describes a folder of shards.

  {"spec": ...,                       the meaning of the labels
   "splits": {NAME: {
     "num_images", "num_shards", "num_segments", "num_crowds", "num_bytes": ...,
     "image_sizes": {"height": {"min", "max", "mean"}, ...},
     "counts": {"pixels": {TRAIN_ID: ...}, "segments": ..., "crowds": ...,
                "images": ...},
     "shards": [{"name", "num_images", "num_bytes", "sha256"}, ...],
     "skipped": [{"filename", "reason"}, ...],
     "notices": {TEXT: number of images, ...},
     "source": ..., "options": ..., "tool": ..., "fingerprint": ...}}}

A split listed here is complete.
"""

import collections
import json
import os
from typing import Any, Dict, Sequence

import tensorflow as tf

from axial_tf import errors, version
from axial_tf.data.common import record_checks, record_files
from axial_tf.files import atomic_files
from data_prep.engine import jobs, shards


def read(output_dir: str, spec) -> Dict[str, Any]:
  """Returns dataset_info.json of a folder, or a new one without splits.

  Raises:
    errors.UserError: it belongs to another spec or is not readable.
  """
  path = os.path.join(output_dir, record_files.DATASET_INFO)
  if not tf.io.gfile.exists(path):
    if tf.io.gfile.exists(output_dir) and not tf.io.gfile.isdir(output_dir):
      raise errors.UserError(
          f'{output_dir}: expected a folder, got a file; choose another '
          f'--output_dir')
    return {'spec': spec.to_json(), 'splits': {}}
  info = record_checks.read_info(path)
  written, splits = info['spec'], info['splits']
  try:
    known = type(spec).from_json(written, source=path)
    is_same = known.has_same_labels(spec) and known.name == spec.name
  except errors.UserError:
    is_same = False  # Classes instead of segments, for instance.
  if not is_same:
    name = written.get('name') if isinstance(written, dict) else written
    raise errors.UserError(
        f'{output_dir} already contains records of the data set {name!r} with '
        f'another spec; choose another --output_dir')
  return {'spec': spec.to_json(), 'splits': splits}


def write(output_dir: str, info: Dict[str, Any]) -> None:
  """Replaces dataset_info.json as a whole."""
  atomic_files.write(os.path.join(output_dir, record_files.DATASET_INFO),
                    json.dumps(info, indent=2).encode() + b'\n')


def describe(job: jobs.Job, reports: Sequence[shards.Report]) -> Dict[str, Any]:
  """Returns the entry of a split from the reports of its shards."""
  counts = collections.defaultdict(collections.Counter)
  notices = collections.Counter()
  for report in reports:
    notices.update(report.notices)
    for kind, by_class in report.counts.items():
      counts[kind].update(by_class)
  num_images = sum(r.num_images for r in reports)
  return {
      'num_images': num_images,
      'num_shards': len(reports),
      'num_segments': sum(
          sum(counts[kind].values()) for kind in ('segments', 'crowds')),
      'num_crowds': sum(counts['crowds'].values()),
      'num_bytes': sum(r.num_bytes for r in reports),
      'image_sizes': _image_sizes(reports, num_images),
      'counts': {kind: {i: by_class[i] for i in sorted(by_class, key=int)}
                 for kind, by_class in sorted(counts.items()) if by_class},
      'shards': [
          {'name': r.name, 'num_images': r.num_images,
           'num_bytes': r.num_bytes, 'sha256': r.sha256} for r in reports],
      'skipped': [{'filename': filename, 'reason': reason}
                  for r in reports for filename, reason in r.skipped],
      'notices': dict(notices),
      'source': dict(job.source),
      'options': dict(job.options),
      'tool': f'axial_tf {version.__version__}',
      'fingerprint': job.fingerprint,
  }


def is_finished(
    job: jobs.Job, info: Dict[str, Any], max_errors: int) -> bool:
  """Whether the records of exactly this job exist, by their checksums."""
  entry = info['splits'].get(job.split.name)
  if not isinstance(entry, dict) or entry.get('fingerprint') != job.fingerprint:
    return False
  if entry['skipped'] and not max_errors:
    return False
  return [s['name'] for s in entry['shards']] == job.shard_names and all(
      shards.is_intact(job.output_dir, s['name'], s['num_bytes'], s['sha256'])
      for s in entry['shards'])


def _image_sizes(reports, num_images: int) -> Dict[str, Dict[str, float]]:
  sizes = [r.sizes for r in reports if r.sizes]
  return {
      side: {'min': min(s[side]['min'] for s in sizes),
             'max': max(s[side]['max'] for s in sizes),
             'mean': round(sum(s[side]['sum'] for s in sizes) / num_images, 1)}
      for side in ('height', 'width') if sizes}
