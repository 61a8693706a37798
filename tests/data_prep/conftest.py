"""A tiny data set in the layout of COCO panoptic, and its spec."""

import pytest

from tests.data_prep import tiny_coco as tiny_coco_lib


@pytest.fixture(scope='session')
def tiny_spec():
  return tiny_coco_lib.SPEC


@pytest.fixture
def tiny_coco(tmp_path):
  """Makes a TinyCoco, with its options."""

  def make(**options):
    return tiny_coco_lib.TinyCoco(tmp_path / 'tiny', **options)

  return make
