"""Finds the proxy that the environment sets between a client and a server.

A server on this machine or in its local network is contacted directly: proxies
are for outside hosts, and mostly reject or cannot find local ones. For all
other servers http_proxy, https_proxy, grpc_proxy and no_proxy apply.
"""

import ipaddress
import os
import socket
from typing import Optional
import urllib.parse
import urllib.request

# Variables in which gRPC looks for a proxy, in this order.
_OF_GRPC = ('grpc_proxy', 'https_proxy', 'http_proxy')


def of_rest(url: str) -> Optional[str]:
  """Returns the proxy through which a URL is requested, without a password.

  It is None if there is none.
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
  """Whether a host is this machine or in its local network."""
  if not host:
    return True
  try:
    found = socket.getaddrinfo(host, None)
  except OSError:  # Unknown here, but maybe not to the proxy.
    return False
  # An IPv6 address may have a zone after %.
  addresses = {entry[4][0].partition('%')[0] for entry in found}
  return all(
      ipaddress.ip_address(address).is_private
      or ipaddress.ip_address(address).is_link_local for address in addresses)
