"""Settings accept what their annotations say and name what they refuse."""

import dataclasses
import json
from typing import Any, ClassVar, Literal, Mapping, Optional, Tuple

import pytest

from axial_tf import errors
from axial_tf import settings as settings_lib
from axial_tf.experiment import config


@dataclasses.dataclass(frozen=True)
class _Example:
  size: tuple[int, int] = (1, 2)
  rate: float = 0.5
  steps: int = 1
  name: Literal['a', 'b'] = 'a'
  limit: Optional[int] = None
  flags: tuple[bool, ...] = ()

  def __post_init__(self):
    settings_lib.check_types(self)
    settings_lib.require(self.rate > 0, self, 'rate', 'a number > 0')


def test_lists_become_tuples_and_ints_become_floats():
  example = _Example(size=[3, 4], rate=2, flags=[True])
  assert example.size == (3, 4) and isinstance(example.size, tuple)
  assert isinstance(example.rate, float)
  assert hash(example) == hash(_Example(size=(3, 4), rate=2., flags=(True,)))


@pytest.mark.parametrize('field, value', [
    ('size', (1, 2, 3)), ('size', 5), ('size', (1, 'x')), ('rate', 'fast'),
    ('rate', True), ('steps', 1.5), ('steps', True), ('name', 'c'),
    ('limit', 'none'), ('flags', (1,))])
def test_a_wrong_type_names_field_expectation_and_value(field, value):
  with pytest.raises(errors.UserError) as caught:
    _Example(**{field: value})
  message = str(caught.value)
  assert f'_Example.{field}' in message
  assert repr(value) in message and 'expected' in message


def test_a_value_out_of_range_is_refused():
  with pytest.raises(errors.UserError, match='_Example.rate: expected a num'):
    _Example(rate=-1.0)


@dataclasses.dataclass(frozen=True)
class _Outer:
  inner: _Example = _Example()
  maybe: Optional[_Example] = None
  size: Tuple[int, int] = (1, 2)

  def __post_init__(self):
    settings_lib.check_types(self)


@pytest.mark.parametrize('settings', [
    _Outer(), _Outer(_Example(steps=3), _Example((3, 4)), (5, 6))], ids=str)
def test_plain_data_becomes_the_settings_it_was_made_from(settings):
  plain = json.loads(json.dumps(dataclasses.asdict(settings)))
  assert settings_lib.from_dict(_Outer, plain) == settings


def test_restored_settings_are_checked():
  with pytest.raises(errors.UserError, match='_Example.steps'):
    settings_lib.from_dict(_Outer, {'inner': {'steps': 'many'}})


@dataclasses.dataclass(frozen=True)
class _Newer:
  steps: int = 1

  RETIRED: ClassVar[Mapping[str, Any]] = {'votes': 0.0}


def test_a_field_of_earlier_versions_may_be_off():
  assert settings_lib.from_dict(
      _Newer, {'steps': 2, 'votes': 0.0}) == _Newer(2)
  with pytest.raises(errors.UserError, match="unknown key 'votes'; remove it"):
    settings_lib.from_dict(_Newer, {'votes': 1.0})


@dataclasses.dataclass(frozen=True)
class _Files:
  records: settings_lib.Path = ''
  start: Optional[settings_lib.Path] = None

  def __post_init__(self):
    settings_lib.check_types(self)


def test_paths_expand_the_home_folder(monkeypatch):
  monkeypatch.setenv('HOME', '/users/me')
  files = _Files('~/records/train-*', '~/run')
  assert files == _Files('/users/me/records/train-*', '/users/me/run')
  assert _Files() == _Files('', None)
  with pytest.raises(errors.UserError, match='records: expected str, got 5'):
    _Files(5)


def test_the_paths_of_a_configuration(monkeypatch):
  monkeypatch.setenv('HOME', '/users/me')
  for name in ('experiments/demo.gin', 'experiments/cifar10_axial_resnet.gin'):
    parsed = config.parse([name], [
        "RECORDS = '~/records'", "RunSettings.init_checkpoint = '~/other'"])
    assert parsed.run.init_checkpoint == '/users/me/other'
    assert parsed.task.data.train_pattern.startswith('/users/me/records/')
    assert parsed.task.data.validation_pattern.startswith('/users/me/records/')
    spec = dataclasses.replace(parsed.task, spec='~/spec.json').spec
    assert spec == '/users/me/spec.json'
