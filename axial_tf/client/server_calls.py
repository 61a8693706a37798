"""Calls to a server that may fail, be repeated, or come too late."""

import random
import time
from typing import Callable, Optional, TypeVar

_T = TypeVar('_T')

UNAVAILABLE = 'UNAVAILABLE'
DEADLINE_EXCEEDED = 'DEADLINE_EXCEEDED'
INVALID_ARGUMENT = 'INVALID_ARGUMENT'
NOT_FOUND = 'NOT_FOUND'

_FIRST_WAIT = 0.1  # Seconds; doubled after each attempt.
_LONGEST_WAIT = 2.0


class ServerError(Exception):
  """What a server, or the way to it, says.

  Attributes:
    code: name of a gRPC status code, such as UNAVAILABLE.
    message: the server's own words.
    proxy: what stood between, if anything, and may have said them.
  """

  def __init__(self, code: str, message: str, proxy: Optional[str] = None):
    super().__init__(f'{code}: {message}')
    self.code = code
    self.message = ' '.join(message.split())
    self.proxy = proxy


def with_retries(function: Callable[[float], _T], timeout: float, retries: int
                 ) -> _T:
  """Calls a server until it answers, as long as it is only UNAVAILABLE.

  It waits between attempts, twice as long each time, with some chance in it so
  that many clients do not come back at once.

  Args:
    function: does it; takes the seconds that are left.
    timeout: seconds for all attempts together.
    retries: how many times at most it is called again.

  Raises:
    ServerError: error of the last attempt.
  """
  end = time.monotonic() + timeout
  for attempt in range(retries + 1):
    try:
      return function(max(end - time.monotonic(), 1e-3))
    except ServerError as error:
      wait = min(_FIRST_WAIT * 2 ** attempt, _LONGEST_WAIT)
      wait *= random.uniform(0.5, 1)
      is_over = attempt == retries or time.monotonic() + wait >= end
      if error.code != UNAVAILABLE or is_over:
        raise
      time.sleep(wait)
  raise AssertionError('retries: expected a number >= 0')
