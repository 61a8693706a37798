"""A proxy from the environment is used only for remote servers."""

import http.server
import socket
import threading

import pytest

from axial_tf import errors
from axial_tf.client import client, proxies

_VARIABLES = ('http_proxy', 'https_proxy', 'grpc_proxy', 'no_proxy',
              'no_grpc_proxy', 'all_proxy')


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
  for name in _VARIABLES:
    monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize('host', [
    'localhost', '127.0.0.1', '[::1]', '10.1.2.3', '192.168.0.9',
    '169.254.1.1', '[fd00::1]'])
def test_nearby_servers_are_contacted_directly(host, monkeypatch):
  monkeypatch.setenv('http_proxy', 'http://proxy:3128')
  assert proxies.of_rest(f'http://{host}:8501/v1') is None
  assert proxies.of_grpc(f'{host}:8500') is None
  assert proxies.of_grpc(f'dns:///{host}:8500') is None


def test_others_are_contacted_through_the_proxy(monkeypatch):
  far = '8.8.8.8'
  assert proxies.of_rest(f'http://{far}:8501/v1') is None
  assert proxies.of_grpc(f'{far}:8500') is None
  monkeypatch.setenv('http_proxy', 'http://me:secret@proxy:3128')
  assert proxies.of_rest(f'http://{far}:8501/v1') == 'http://proxy:3128'
  assert proxies.of_rest(f'https://{far}:8501/v1') is None
  assert proxies.of_grpc(f'{far}:8500') == 'http://proxy:3128'
  assert proxies.of_grpc('unix:/run/server') is None
  monkeypatch.setenv('grpc_proxy', 'http://other:80')
  assert proxies.of_grpc(f'{far}:8500') == 'http://other:80'
  # A name that only the proxy may know.
  assert proxies.of_grpc('server.invalid:8500') == 'http://other:80'
  for exception in (far, f'localhost, {far}', '*'):
    monkeypatch.setenv('no_proxy', exception)
    assert proxies.of_rest(f'http://{far}:8501/v1') is None
    assert proxies.of_grpc(f'{far}:8500') is None


class _Refusing(http.server.BaseHTTPRequestHandler):
  """A proxy that refuses every request."""

  def do_POST(self):
    self.send_error(403, 'not allowed here')

  do_CONNECT = do_POST

  def log_message(self, *_):
    pass


@pytest.fixture
def proxy():
  server = http.server.HTTPServer(('127.0.0.1', 0), _Refusing)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  yield f'127.0.0.1:{server.server_port}'
  server.shutdown()
  server.server_close()


@pytest.mark.parametrize('protocol', ['rest', 'grpc'])
def test_errors_name_the_proxy_in_between(
    protocol, proxy, monkeypatch):
  monkeypatch.setenv('http_proxy', f'http://{proxy}')
  with client.Client('8.8.8.8:8500', 'm', protocol=protocol, retries=0,
                     timeout=5) as ask:
    with pytest.raises(errors.UserError, match=f'the proxy http://{proxy}, '):
      ask(b'image')


@pytest.mark.parametrize('protocol', ['rest', 'grpc'])
def test_a_server_on_this_machine_bypasses_the_proxy(
    protocol, proxy, monkeypatch):
  monkeypatch.setenv('http_proxy', f'http://{proxy}')
  with socket.socket() as closed:
    closed.bind(('127.0.0.1', 0))
    address = f'127.0.0.1:{closed.getsockname()[1]}'
    with client.Client(address, 'm', protocol=protocol, retries=0,
                       timeout=5) as ask:
      with pytest.raises(errors.UserError) as raised:
        ask(b'image')
  assert 'cannot be reached' in str(raised.value)
  assert 'proxy' not in str(raised.value)
