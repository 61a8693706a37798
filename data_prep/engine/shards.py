"""Writes shards, each with a report so that a conversion can be resumed.

A shard is written under a temporary name and renamed when it is complete; then
its report is written. A shard without a report is thus never trusted.
"""

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
from typing import Dict, Iterable, Iterator, List, Mapping, Optional, Tuple
import uuid

import tensorflow as tf

from axial_tf import errors
from axial_tf.data.common import record_bytes
from axial_tf.files import atomic_files
from data_prep.engine import faults as faults_lib
from data_prep.engine import outcomes as outcomes_lib

_READ_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Report:
  """The contents of a shard.

  Attributes:
    name: name of the shard's file.
    job: fingerprint of the job that made it.
    num_images: number of records.
    num_bytes: size of the file.
    sha256: checksum of the file.
    counts: counts per type and train id, as `splits.Encoded.counts`.
    sizes: per side ('height', 'width'): min, max and sum, pixels.
    skipped: file name and reason of each skipped image.
    notices: number of images with each notice.
  """

  name: str
  job: str
  num_images: int = 0
  num_bytes: int = 0
  sha256: str = ''
  counts: Mapping[str, Mapping[str, int]] = dataclasses.field(
      default_factory=dict)
  sizes: Mapping[str, Mapping[str, int]] = dataclasses.field(
      default_factory=dict)
  skipped: Tuple[Tuple[str, str], ...] = ()
  notices: Mapping[str, int] = dataclasses.field(default_factory=dict)


def write(folder: str, name: str, job: str,
          outcomes: Iterable[outcomes_lib.Outcome],
          faults: faults_lib.Faults) -> None:
  """Writes one shard and its report.

  Args:
    folder: existing folder of the shard.
    name: name of the shard's file.
    job: fingerprint of the job.
    outcomes: outcomes of the shard's images, in order.
    faults: collector of the faulty ones, which may end the conversion.

  Raises:
    errors.UserError: as `faults.add`, or the file cannot be written.
  """
  path = os.path.join(folder, name)
  temporary = os.path.join(folder, f'.{name}.{uuid.uuid4().hex}.tmp')
  tally = _Tally()
  with writing_errors(folder):
    try:
      with tf.io.TFRecordWriter(temporary) as writer:
        for outcome in outcomes:
          if outcome.fault:
            tally.skipped.append((outcome.filename, outcome.fault))
            faults.add(outcome.filename, outcome.fault)
            continue
          writer.write(outcome.encoded.serialized)
          tally.add(outcome)
      # Reading it back also detects data lost on a full disk.
      sha256, num_bytes = checksum(temporary)
      if num_bytes != tally.num_bytes:
        raise errors.UserError(
            f'{path}: only {num_bytes} of {tally.num_bytes} bytes were '
            f'written; check the free space')
      tf.io.gfile.rename(temporary, path, overwrite=True)
    except BaseException:  # Even Ctrl-C leaves nothing half-written.
      if tf.io.gfile.exists(temporary):
        tf.io.gfile.remove(temporary)
      raise
  write_report(folder, Report(
      name, job, tally.num_images, num_bytes, sha256, tally.counts(),
      tally.sizes(), tuple(tally.skipped), dict(tally.notices)))


class _Tally:
  """Counts the contents of a shard."""

  def __init__(self):
    self.num_bytes = 0
    self.skipped: List[Tuple[str, str]] = []
    self.notices = collections.Counter()
    self._sizes: Dict[str, List[int]] = {'height': [], 'width': []}
    self._counts = collections.defaultdict(collections.Counter)

  def add(self, outcome: outcomes_lib.Outcome) -> None:
    self.num_bytes += (
        len(outcome.encoded.serialized) + record_bytes.BYTES_AROUND_RECORD)
    self._sizes['height'].append(outcome.height)
    self._sizes['width'].append(outcome.width)
    for kind, by_class in outcome.encoded.counts.items():
      self._counts[kind].update(by_class)
    if outcome.encoded.notice:
      self.notices[outcome.encoded.notice] += 1

  @property
  def num_images(self) -> int:
    return len(self._sizes['height'])

  def counts(self) -> Dict[str, Dict[str, int]]:
    return {kind: {str(i): int(by_class[i]) for i in sorted(by_class)}
            for kind, by_class in sorted(self._counts.items())}

  def sizes(self) -> Dict[str, Dict[str, int]]:
    return {side: {'min': min(pixels), 'max': max(pixels), 'sum': sum(pixels)}
            for side, pixels in self._sizes.items() if pixels}


def report_path(folder: str, name: str) -> str:
  """Returns the path of a shard's report; hidden, so no pattern matches it."""
  return os.path.join(folder, f'.{name}.report.json')


def write_report(folder: str, report: Report) -> None:
  """Writes a report next to its shard."""
  atomic_files.write(report_path(folder, report.name),
                    json.dumps(dataclasses.asdict(report)).encode())


def read_report(folder: str, name: str) -> Optional[Report]:
  """Returns the report of a shard; None if there is no readable one."""
  path = report_path(folder, name)
  if not tf.io.gfile.exists(path):
    return None
  try:
    with tf.io.gfile.GFile(path) as file:
      report = Report(**json.loads(file.read()))
  except (ValueError, TypeError):
    return None
  return dataclasses.replace(
      report, skipped=tuple(tuple(entry) for entry in report.skipped))


def is_intact(folder: str, name: str, num_bytes: int, sha256: str) -> bool:
  """Whether a shard exists and is byte by byte as it was written."""
  path = os.path.join(folder, name)
  return (tf.io.gfile.exists(path)
          and tf.io.gfile.stat(path).length == num_bytes
          and checksum(path) == (sha256, num_bytes))


def checksum(path: str) -> Tuple[str, int]:
  """Returns the SHA-256 of a file, in hex, and its size in bytes."""
  digest, num_bytes = hashlib.sha256(), 0
  with tf.io.gfile.GFile(path, 'rb') as file:
    while True:
      content = file.read(_READ_BYTES)
      if not content:
        return digest.hexdigest(), num_bytes
      digest.update(content)
      num_bytes += len(content)


@contextlib.contextmanager
def writing_errors(folder: str) -> Iterator[None]:
  """Turns file system errors into a UserError."""
  try:
    yield
  except (tf.errors.OpError, OSError) as error:
    reason = getattr(error, 'message', None) or str(error)
    raise errors.UserError(
        f'cannot write to {folder}: {reason}; check the permissions and the '
        f'free space') from error
