"""Calls are retried only while it may help, never past the deadline."""

import time

import pytest

from axial_tf.client import server_calls


class _Server:
  """Fails with the codes in turn, then answers with the number of calls."""

  def __init__(self, *codes):
    self._codes = codes
    self.given = []

  def __call__(self, seconds):
    self.given.append(seconds)
    if len(self.given) <= len(self._codes):
      raise server_calls.ServerError(
          self._codes[len(self.given) - 1], f'call {len(self.given)}')
    return len(self.given)


@pytest.fixture
def waits(monkeypatch):
  """Seconds of each wait, none of which happens."""
  now, found = [0.0], []

  def sleep(seconds):
    found.append(seconds)
    now[0] += seconds

  monkeypatch.setattr(time, 'sleep', sleep)
  monkeypatch.setattr(time, 'monotonic', lambda: now[0])
  return found


def test_it_waits_longer_each_time(waits):
  server = _Server(*['UNAVAILABLE'] * 7)
  assert server_calls.with_retries(server, 60, 7) == 8
  assert all(0.5 * most <= wait <= most for wait, most in zip(
      waits, (0.1, 0.2, 0.4, 0.8, 1.6, 2, 2)))
  # Each attempt has what is left of the time.
  assert server.given == pytest.approx(
      [60 - sum(waits[:count]) for count in range(8)])


@pytest.mark.parametrize('code', [
    'INVALID_ARGUMENT', 'NOT_FOUND', 'DEADLINE_EXCEEDED', 'INTERNAL'])
def test_other_errors_are_not_retried(waits, code):
  server = _Server('UNAVAILABLE', code)
  with pytest.raises(server_calls.ServerError, match=f'{code}: call 2'):
    server_calls.with_retries(server, 60, 5)
  assert len(server.given) == 2


@pytest.mark.parametrize('timeout, retries, calls', [
    (60, 0, 1), (60, 3, 4), (0.04, 9, 1)])
def test_it_stops_in_time(waits, timeout, retries, calls):
  server = _Server(*['UNAVAILABLE'] * 20)
  with pytest.raises(server_calls.ServerError, match=f'call {calls}$'):
    server_calls.with_retries(server, timeout, retries)
  assert sum(waits) < timeout
