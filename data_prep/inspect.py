r"""Inspects TFRecords: their contents and whether they match a spec.

  python -m data_prep.inspect /data/coco_records
  python -m data_prep.inspect '/data/deeplab2/val-*.tfrecord' --spec=coco \
      --pictures=20 --pictures_dir=pictures --json=val.json

TFRecords are files, patterns or folders: those of data_prep.convert or of
DeepLab2, or image classification records. The spec is that of the
dataset_info.json next to the first one, or --spec. All records are read;
damaged ones are reported and skipped. The exit status is 0 if all records are
fit for training with the spec, else 1.
"""

import json
import os
import sys
from typing import Dict, List, Sequence

from absl import flags

from axial_tf import cli, errors
from axial_tf.files import paths

_SHOWN_FAULTS = 20


def _define_flags() -> None:
  cli.define_path(
      'spec', None, 'Shipped name (coco) or JSON file. Default: that of the '
      'dataset_info.json next to the records.')
  flags.DEFINE_integer(
      'pictures', 0, 'Number of records to draw, evenly spread over all.',
      lower_bound=0)
  cli.define_path('pictures_dir', None, 'Folder of the pictures (PNG).')
  cli.define_path('json', None, 'File for all statistics and faults.')


def main(patterns: Sequence[str]) -> None:
  given = flags.FLAGS
  if not patterns:
    raise errors.UserError(
        'expected TFRecord files, patterns or folders, got none (see --help '
        'for an example)')
  if bool(given.pictures) != bool(given.pictures_dir):
    raise errors.UserError(
        '--pictures and --pictures_dir: expected both or none of them')
  for path in (given.json, given.pictures_dir):
    paths.require_reachable(path)
  run(patterns, given.spec, given.pictures, given.pictures_dir, given.json)


def run(patterns: Sequence[str], spec_name=None, pictures: int = 0,
        pictures_dir=None, json_path=None) -> None:
  """Reads all records, prints and writes statistics of them.

  Args:
    patterns: files, glob patterns or folders.
    spec_name: shipped name or JSON file; None takes that of the records.
    pictures: number of records to draw.
    pictures_dir: folder of the pictures.
    json_path: file for all statistics, or None.

  Raises:
    errors.UserError: the records are not fit for training, or there is nothing
      to inspect.
  """
  from axial_tf import visualize
  from axial_tf.files import atomic_files
  from data_prep.inspection import record_folders, record_scan, shard_reader

  paths = record_folders.find(patterns)
  spec = record_folders.spec_of(paths, spec_name)
  statistics = _statistics(spec)
  total = sum(shard_reader.count(path) for path in paths)
  # Without a total (remote shards), the first ones.
  chosen = {(total or pictures) * i // pictures for i in range(pictures)}
  faults, found = [], {}
  for place, item in enumerate(record_scan.scan(
      paths, statistics.measure, total)):
    if item.fault:
      faults.append(item.fault)
      continue
    statistics.add(item.measured)
    found[item.record.path] = found.get(item.record.path, 0) + 1
    if place in chosen:
      visualize.save_png(
          statistics.draw(item.record.serialized),
          os.path.join(pictures_dir, _picture_name(item.record)))
  reasons = [*record_folders.problems(paths, spec, found, bool(faults)),
             *statistics.problems()]
  if faults:
    reasons.insert(0, f'records that cannot be read: {len(faults)}')
  _print(statistics, paths, found, faults)
  if json_path:
    atomic_files.write(json_path, json.dumps({
        'spec': spec.name, 'records': sum(found.values()),
        'shards': len(paths), 'is_fit': not reasons, 'reasons': reasons,
        'faults': [{'shard': f.path, 'record': f.number, 'reason': f.reason}
                   for f in faults],
        **statistics.to_json()}, indent=1).encode() + b'\n')
  if reasons:
    raise errors.UserError(
        f'not fit for training with the spec {spec.name!r}: '
        f'{"; ".join(reasons)}')
  print(f'fit for training with the spec {spec.name!r}')


def _statistics(spec):
  from axial_tf.specs import class_spec, dataset_spec
  from data_prep.inspection import class_statistics, panoptic_statistics

  return {
      class_spec.ClassSpec: class_statistics.ClassStatistics,
      dataset_spec.DatasetSpec: panoptic_statistics.PanopticStatistics,
  }[type(spec)](spec)


def _picture_name(record) -> str:
  shard = os.path.basename(record.path)
  return f'{os.path.splitext(shard)[0]}_record{record.number:05d}.png'


def _print(statistics, paths: List[str], found: Dict[str, int],
           faults) -> None:
  print(f'{sum(found.values())} records in {len(paths)} shards')
  print(statistics.table())
  for fault in faults[:_SHOWN_FAULTS]:
    print(f'fault: {fault}', file=sys.stderr)
  if len(faults) > _SHOWN_FAULTS:
    print(f'and {len(faults) - _SHOWN_FAULTS} more (all of them: --json)',
          file=sys.stderr)


if __name__ == '__main__':
  _define_flags()
  cli.run(main, __doc__, takes_arguments=True)
