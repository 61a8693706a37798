"""Fixtures for tests of exports."""

import pathlib

import pytest

from axial_tf.export import saved_model
from axial_tf.files import model_folders


@pytest.fixture
def no_saved_model(monkeypatch):
  """Exports are written with an empty file in place of a SavedModel."""
  monkeypatch.setattr(
      saved_model, 'save', lambda model, folder, signatures: pathlib.Path(
          folder, model_folders.SAVED_MODEL).touch())
  monkeypatch.setattr(saved_model, 'check', lambda *_: None)
