"""Finds the proxy of the environment between a client and a server.

A server on this machine or in its own network is asked directly: a proxy is
there for the way out, and mostly refuses or cannot find the others. For all
other servers http_proxy, https_proxy, grpc_proxy and no_proxy hold.
"""

import ipaddress
import os
import socket
from typing import Optional
import urllib.parse
import urllib.request

# In this order gRPC looks for a proxy.
_OF_GRPC = ('grpc_proxy', 'https_proxy', 'http_proxy')


def of_rest(url: str) -> Optional[str]:
  """Returns the proxy through which a URL is asked for, without a password.

  It is None where there is none.
  """
  parts = urllib.parse.urlsplit(url)
  proxy = urllib.request.getproxies().get(parts.scheme)
  if proxy is None or _is_near(parts.hostname) or (
      urllib.request.proxy_bypass(parts.netloc)):
    return None
  return _without_password(proxy)


def of_grpc(server: str) -> Optional[str]:
  """Returns the proxy between this machine and host:port, as `of_rest`."""
  proxy = next(filter(None, map(os.environ.get, _OF_GRPC)), None)
  if proxy is None:
    return None
  scheme, _, address = server.rpartition(':///')
  if scheme not in ('', 'dns') or server.startswith('unix:'):
    return None
  host = urllib.parse.urlsplit(f'//{address}').hostname
  none_for = os.environ.get('no_grpc_proxy') or os.environ.get('no_proxy', '')
  is_direct = _is_near(host) or any(
      host.endswith(name.strip().lstrip('*')) for name in none_for.split(',')
      if name.strip())
  return None if is_direct else _without_password(proxy)


def _without_password(proxy: str) -> str:
  scheme, mark, address = proxy.rpartition('://')
  return scheme + mark + address.rpartition('@')[2]


def _is_near(host: Optional[str]) -> bool:
  """Whether a host is this machine or in its own network."""
  if not host:
    return True
  try:
    found = socket.getaddrinfo(host, None)
  except OSError:  # Nobody here knows it; the proxy may.
    return False
  # An IPv6 address may have a zone behind %.
  addresses = {entry[4][0].partition('%')[0] for entry in found}
  return all(
      ipaddress.ip_address(address).is_private
      or ipaddress.ip_address(address).is_link_local for address in addresses)
