"""Keeps what the page's libraries write in one folder, and them off the net."""

import os
import tempfile

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


def confine(folder: str) -> None:
  """Sets the variables of this process; before the libraries are imported.

  Args:
    folder: folder for all that they write, uploads above all.
  """
  os.environ.update(_SWITCHES)
  os.environ.update({
      name: os.path.join(folder, part) for name, part in _FOLDERS.items()})
  tempfile.tempdir = folder
