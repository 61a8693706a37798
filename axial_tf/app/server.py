"""Serves a page over HTTP to a browser on this machine."""

import ipaddress
import logging
import socket
from typing import Callable

from axial_tf import errors, optional_imports
from axial_tf.app import downloads, page

# Bytes of the largest file that is received.
_LARGEST_FILE = 100_000_000
# A browser asks no other machine than this server, whatever the page contains.
_POLICY = ("default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
           "frame-ancestors 'self'")
_HEADERS = [(b'content-security-policy', _POLICY.encode()),
            (b'x-content-type-options', b'nosniff'),
            (b'referrer-policy', b'no-referrer')]
# Seconds that open pages have at the end.
_GRACE = 2


def listen(host: str, port: int) -> socket.socket:
  """Returns a socket that listens, before the time that a model takes.

  Args:
    host: address of this machine.
    port: number of the port; 0 for any that is free.

  Raises:
    errors.UserError: there is no such address, or the port is taken.
  """
  try:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(address)
    listening.listen()
    return listening
  except OSError as error:
    raise errors.UserError(
        f'--port: cannot serve at {host}:{port} ({error.strerror}); give '
        f'another --port, or 0 for any that is free') from error


def address(listening: socket.socket) -> str:
  """Returns the address for a browser."""
  host, port = listening.getsockname()[:2]
  return f'http://{f"[{host}]" if ":" in host else host}:{port}'


def application(gr, blocks,
                file: Callable[[str, str], downloads.Download]):
  """Returns the page as an ASGI application.

  Args:
    gr: the module gradio, see `page.gradio`.
    blocks: the page.
    file: function of the key of a picture and the name of a file that makes it.
  """
  fastapi = optional_imports.load('fastapi', 'app', 'the page')
  app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

  @app.get('/files/{key}/{which}')
  def download(key: str, which: str):
    try:
      made = file(key, which)
    except errors.UserError as error:
      raise fastapi.HTTPException(404, str(error)) from error
    return fastapi.Response(
        made.content, media_type=made.kind, headers=made.headers)

  blocks.queue(max_size=page.QUEUE)
  gr.mount_gradio_app(
      app, blocks, path='/', allowed_paths=[], show_error=False,
      max_file_size=_LARGEST_FILE, ssr_mode=False, pwa=False, mcp_server=False,
      enable_monitoring=False, footer_links=[], run_history=False,
      theme=page.theme(gr), css=page.CSS)
  # Without it Gradio takes any path for that of an upload: only its own way of
  # serving sets this, and before it nothing is checked.
  blocks.has_launched = True
  return _WithHeaders(app)


def serve(app, listening: socket.socket) -> None:
  """Serves an application until the program is ended."""
  uvicorn = optional_imports.load('uvicorn', 'app', 'the page')
  host = listening.getsockname()[0]
  if ipaddress.ip_address(host).is_loopback:
    hosts = optional_imports.load(
        'starlette.middleware.trustedhost', 'app', 'the page')
    # A page of another origin may name this machine otherwise to get around
    # the browser's rules.
    app = hosts.TrustedHostMiddleware(app, ['localhost', '127.0.0.1', '[::1]'])
  running = uvicorn.Server(uvicorn.Config(
      app, log_level='error', access_log=False, lifespan='on',
      timeout_graceful_shutdown=_GRACE))
  # Pages that are still open at the end are no error.
  logging.getLogger('uvicorn.error').addFilter(
      lambda _: not running.should_exit)
  running.run([listening])


class _WithHeaders:
  """Adds headers to all responses."""

  def __init__(self, app):
    self._app = app

  async def __call__(self, scope, receive, send):
    async def send_with_headers(message):
      if message['type'] == 'http.response.start':
        message = {**message, 'headers': [*message['headers'], *_HEADERS]}
      await send(message)

    await self._app(scope, receive, send_with_headers)
