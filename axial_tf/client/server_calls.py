"""Calls a server, with retries and a time limit."""

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
  """An error of a server or of the connection to it.

  Attributes:
    code: name of a gRPC status code, such as UNAVAILABLE.
    message: message of the server.
    proxy: proxy in between, if any, which may have sent the message.
  """

  def __init__(self, code: str, message: str, proxy: Optional[str] = None):
    super().__init__(f'{code}: {message}')
    self.code = code
    self.message = ' '.join(message.split())
    self.proxy = proxy


def with_retries(function: Callable[[float], _T], timeout: float, retries: int
                 ) -> _T:
  """Calls a server until it answers, as long as it is UNAVAILABLE.

  The wait between attempts doubles each time, with random jitter so that many
  clients do not retry at once.

  Args:
    function: the call; takes the remaining seconds.
    timeout: seconds for all attempts together.
    retries: maximal number of repeated calls.

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
