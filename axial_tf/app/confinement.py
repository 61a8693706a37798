"""Keeps what the page's libraries write in one folder, and them off the net."""

import contextlib
import os
import tempfile
from typing import Iterator

_SWITCHES = {
    'GRADIO_ANALYTICS_ENABLED': 'False',
    'HF_HUB_DISABLE_TELEMETRY': '1',
    'HF_HUB_OFFLINE': '1',
}
# Variables that name a folder, and its name.
_FOLDERS = {
    'GRADIO_TEMP_DIR': 'pictures',
    'GRADIO_EXAMPLES_CACHE': 'examples',
    'HF_HOME': 'huggingface',
    'KERAS_HOME': 'keras',
    'MPLCONFIGDIR': 'matplotlib',
}


@contextlib.contextmanager
def folder() -> Iterator[str]:
  """Makes a folder for all that is written, uploads above all, for a while.

  To be entered before the libraries are imported.
  """
  before = tempfile.tempdir
  with tempfile.TemporaryDirectory(prefix='axial_tf_app_') as made:
    os.environ.update(_SWITCHES)
    os.environ.update({
        name: os.path.join(made, part) for name, part in _FOLDERS.items()})
    tempfile.tempdir = made
    try:
      yield made
    finally:
      tempfile.tempdir = before
