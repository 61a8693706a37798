"""Pictures that a page receives, and an export that the tests only read."""

import pytest

from axial_tf.export import saved_model
from tests import color_model


@pytest.fixture(scope='session')
def export_dir(tmp_path_factory):
  """Folder with an export of the color model."""
  folder = str(tmp_path_factory.mktemp('export'))
  saved_model.export_saved_model(color_model.inference(), folder)
  return folder
