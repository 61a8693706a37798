"""Reads and checks TF_CONFIG, which names the workers of a run."""

import dataclasses
import json
import re
from typing import Any, Mapping, Optional, Tuple

from axial_tf import errors

VARIABLE = 'TF_CONFIG'
_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}')
# Jobs of other strategies, and how to fix them.
_OTHER_JOBS = {
    'master': 'the first worker is called chief: rename it in "cluster" and '
              'in "task"',
    'ps': 'multi_worker_mirrored has no parameter servers: leave ps out and '
          'start no process for it',
    'evaluator': 'start the evaluation as a separate process, without '
                 f'{VARIABLE} and with --mode=continuous_eval',
}


@dataclasses.dataclass(frozen=True)
class Cluster:
  """The workers of one run.

  Attributes:
    names: names of all workers, 'chief 0' and 'worker 1' for example.
    addresses: addresses of all workers, in the same order.
    index: index of this process among them; the first one is the chief, which
      saves.
  """

  names: Tuple[str, ...]
  addresses: Tuple[str, ...]
  index: int

  @property
  def is_chief(self) -> bool:
    return self.index == 0

  @property
  def port(self) -> int:
    """The port at which other workers reach this process."""
    return int(self.addresses[self.index].rpartition(':')[2])

  def __str__(self) -> str:
    return f'{self.names[self.index]} of {len(self.names)} workers'

  def describe(self, index: int) -> str:
    """Returns a worker's name and address."""
    return f'{self.names[index]} ({self.addresses[index]})'


def parse(text: Optional[str]) -> Cluster:
  """Reads the value of TF_CONFIG.

  Args:
    text: value of the variable; None if it is not set.

  Raises:
    errors.UserError: TensorFlow could not use it.
  """
  if not (text or '').strip():
    raise errors.UserError(
        f'{VARIABLE} is {"not set" if text is None else "empty"}: expected the '
        f"workers of RunSettings.strategy = 'multi_worker_mirrored', such as "
        f"{_EXAMPLE}; on one machine, 'mirrored' needs none")
  try:
    config = json.loads(text)
  except ValueError as error:
    quotes = '; JSON needs double quotes' if "'" in text else ''
    raise _wrong(f'no JSON ({errors.first_line(error)}){quotes}') from error
  if not isinstance(config, dict):
    raise _wrong(f'a JSON {type(config).__name__}')
  jobs, task = (_entry(config, key) for key in ('cluster', 'task'))
  kind, number = task.get('type'), task.get('index')
  for job in (*jobs, kind):
    if isinstance(job, str) and job in _OTHER_JOBS:
      raise errors.UserError(f'{VARIABLE}: names {job}; {_OTHER_JOBS[job]}')
  workers = _workers(jobs)
  if isinstance(number, str) and number.isdecimal():
    number = int(number)
  of_kind = [name for name, _ in workers if name.split()[0] == kind]
  if not of_kind:
    raise _wrong(f'the task type {kind!r}, of which "cluster" has none')
  if type(number) is not int or not 0 <= number < len(of_kind):
    raise _wrong(
        f'the task index {number!r}, where "cluster" has the {kind} indices 0 '
        f'to {len(of_kind) - 1}')
  names, addresses = zip(*workers)
  return Cluster(names, addresses, names.index(f'{kind} {number}'))


def _workers(jobs: Mapping[str, Any]):
  """Returns (name, address) of all workers, the chief first."""
  workers = []
  for job in sorted(jobs):
    addresses = jobs[job]
    if job not in ('chief', 'worker'):
      raise _wrong(f'the job {job!r}, which is neither chief nor worker')
    if not isinstance(addresses, list):
      raise _wrong(f'{json.dumps(addresses)} as the list of {job} addresses')
    if job == 'chief' and len(addresses) != 1:
      raise _wrong(f'{len(addresses)} chiefs, where only one is possible')
    for index, address in enumerate(addresses):
      if not _is_address(address):
        raise _wrong(f'{json.dumps(address)} as an address; expected host:port')
      workers.append((f'{job} {index}', address))
  if not workers:
    raise _wrong('no worker in "cluster"')
  seen = set()
  for _, address in workers:
    if address in seen:
      raise _wrong(f'the address {address} twice; each worker needs its own')
    seen.add(address)
  return workers


def _entry(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
  value = config.get(key)
  if not isinstance(value, dict):
    raise _wrong(f'no object "{key}"' if value is None else
                 f'{json.dumps(value)} as "{key}"')
  return value


def _is_address(address: Any) -> bool:
  # The host may be an IPv6 address in brackets.
  return (isinstance(address, str)
          and re.fullmatch(r'(\[[^\]\s]+\]|[^:\s/]+):\d{1,5}', address)
          and 0 < int(address.rpartition(':')[2]) < 65536)


def _wrong(got: str) -> errors.UserError:
  return errors.UserError(
      f'{VARIABLE}: got {got}; expected a value such as {_EXAMPLE}')
