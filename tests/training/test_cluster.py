"""Mistakes in TF_CONFIG are named before TensorFlow reads it."""

import json

import pytest

from axial_tf import errors
from axial_tf.training import cluster

_TASK = {'type': 'worker', 'index': 0}


def _text(jobs, kind='worker', index=0):
  return json.dumps(
      {'cluster': jobs, 'task': {'type': kind, 'index': index}})


def test_the_chief_is_the_first():
  found = cluster.parse(_text(
      {'worker': ['a:1', '[::1]:2'], 'chief': ['c.example:3']}, index='1'))
  assert found.addresses == ('c.example:3', 'a:1', '[::1]:2')
  assert found.names == ('chief 0', 'worker 0', 'worker 1')
  assert (found.index, found.port, found.is_chief) == (2, 2, False)
  assert str(found) == 'worker 1 of 3 workers'
  assert cluster.parse(_text({'worker': ['a:1']})).is_chief


@pytest.mark.parametrize('text, words', [
    (None, 'is not set'),
    ('', 'is empty'),
    (' \n', 'is empty'),
    ("{'cluster': {}}", 'double quotes'),
    ('{"cluster": ', 'no JSON'),
    ('[1]', 'a JSON list'),
    ('{}', 'no object "cluster"'),
    (json.dumps({'cluster': {'worker': ['a:1']}}), 'no object "task"'),
    (json.dumps({'cluster': ['a:1'], 'task': _TASK}), 'as "cluster"'),
    (_text({}), 'no worker in'),
    (_text({'worker': 'a:1'}), 'as the list of worker'),
    (_text({'worker': {'0': 'a:1'}}), 'as the list of worker'),
    (_text({'worker': ['a:1']}, 'chief'), "type 'chief', of which"),
    (_text({'worker': ['a:1']}, None), 'type None'),
    (_text({'worker': ['a:1']}, index=1), 'indices 0 to 0'),
    (_text({'worker': ['a:1']}, index=-1), 'index -1'),
    (_text({'worker': ['a:1']}, index=None), 'index None'),
    (_text({'worker': ['a:1']}, index=True), 'index True'),
    (_text({'chief': ['a:1', 'b:1']}, 'chief'), '2 chiefs'),
    (_text({'worker': ['a:1', 'a:1']}), 'a:1 twice'),
    (_text({'worker': ['a']}), '"a" as an address'),
    (_text({'worker': ['a:b']}), 'as an address'),
    (_text({'worker': ['a:0']}), 'as an address'),
    (_text({'worker': ['a:65536']}), 'as an address'),
    (_text({'worker': ['http://a:1']}), 'as an address'),
    (_text({'worker': [1]}), 'as an address'),
    (_text({'workers': ['a:1']}), "the job 'workers'"),
    (_text({'master': ['a:1']}, 'master'), 'the first worker is called chief'),
    (_text({'worker': ['a:1'], 'ps': ['a:2']}), 'no parameter servers'),
    (_text({'worker': ['a:1']}, 'evaluator'), '--mode=continuous_eval'),
])
def test_mistakes_are_named(text, words):
  with pytest.raises(errors.UserError) as error:
    cluster.parse(text)
  message = str(error.value)
  assert words in message and message.startswith('TF_CONFIG')
  assert '\n' not in message
