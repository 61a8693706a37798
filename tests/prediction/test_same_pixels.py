"""A file gives the same panoptic map through every interface."""

import functools
import json

import numpy as np
from PIL import Image
import pytest

from axial_tf.client import sent_files
from axial_tf.data.panoptic import pipeline as panoptic_pipeline
from axial_tf.files import image_files
from axial_tf.prediction import beam as beam_prediction
from axial_tf.prediction import predicted_files
from axial_tf.prediction import predictor as predictor_lib
from data_prep.engine import conversion, jobs, local_conversion
from data_prep.readers import coco, splits
from tests import color_model, picture_files, tools
from tests.export import session

_FILES = picture_files.all_files()


def _endings(name: str) -> str:
  return name.replace(' ', '_').replace(':', '') + '.' + name[:4].strip(
      ).lower().replace('jpeg', 'jpg')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  """A folder in COCO's layout: an image of each type, all of it ground."""
  root = tmp_path_factory.mktemp('files')
  (root / 'val').mkdir()
  labels = root / 'annotations' / 'panoptic_val'
  labels.mkdir(parents=True)
  content = {'images': [], 'annotations': [], 'categories': [
      {'id': category.id, 'name': category.name,
       'isthing': int(category.is_thing)}
      for category in color_model.SPEC.categories]}
  for number, (name, file) in enumerate(sorted(_FILES.items()), start=1):
    file_name = _endings(name)
    (root / 'val' / file_name).write_bytes(file)
    is_lying = name[-6:-1] == 'EXIF ' and int(name[-1]) >= 5
    size = (picture_files.HEIGHT, picture_files.WIDTH)[::-1 if is_lying else 1]
    label = np.zeros([*size, 3], np.uint8)
    label[..., 0] = 1
    Image.fromarray(label).save(labels / f'{number}.png')
    content['images'].append({
        'id': number, 'file_name': file_name, 'height': size[0],
        'width': size[1]})
    content['annotations'].append({
        'image_id': number, 'file_name': f'{number}.png', 'segments_info': [{
            'id': 1, 'category_id': 5, 'iscrowd': 0,
            'area': size[0] * size[1], 'bbox': [0, 0, *size[::-1]]}]})
  (root / 'annotations' / 'panoptic_val.json').write_text(json.dumps(content))
  (root / 'spec.json').write_text(json.dumps(color_model.SPEC.to_json()))
  return root


@pytest.fixture(scope='module')
def expected(files, export_dir):
  """The maps that the predictor finds, by the names of the files."""
  predictor = predictor_lib.Predictor(export_dir)
  maps = {path.name: predictor(path).panoptic_map
          for path in sorted((files / 'val').iterdir())}
  # The files show differences: hardly two of them give the same map.
  assert len({m.tobytes() for m in maps.values()}) > 0.6 * len(maps)
  return maps


def _require_same(found, expected):
  assert sorted(found) == sorted(expected)
  wrong = [name for name, panoptic in found.items()
           if not np.array_equal(panoptic, expected[name])]
  assert not wrong


def _written(folder, names):
  stems = image_files.output_stems([f'val/{name}' for name in names])
  return {
      name: np.asarray(Image.open(
          folder / f'{stems[f"val/{name}"]}_panoptic.png')).astype(np.int32)
            @ np.int32([1, 256, 65536])
      for name in names}


@pytest.mark.slow
def test_validation(files, expected, tmp_path):
  split = coco.read_custom_split(
      str(files), 'val', splits.ReadOptions(spec=str(files / 'spec.json')))
  conversion.convert(
      jobs.Job(split, str(tmp_path), 1, {}, {}), 0, functools.partial(
          local_conversion.make_shards, processes=1))
  dataset = panoptic_pipeline.validation_dataset(
      panoptic_pipeline.PanopticDataSettings(
          validation_pattern=str(tmp_path / 'val-*.tfrecord')),
      color_model.SPEC, 1)
  segment = color_model.inference()
  _require_same({
      example['filename'][0].numpy().decode(): segment(
          example['image'])['panoptic_map'][0].numpy()
      for example in dataset}, expected)


@pytest.mark.parametrize('is_sent_by_client', [False, True])
def test_serving(files, export_dir, expected, is_sent_by_client):
  served = session.ServedModel(f'{export_dir}/3')
  found = {}
  for name in expected:
    content = (files / 'val' / name).read_bytes()
    if is_sent_by_client:
      content = sent_files.content(content)
    outputs = served('serving_default', image_bytes=[content])
    found[name] = outputs['panoptic_map'][0]
  _require_same(found, expected)


def test_predict(files, export_dir, expected, tmp_path):
  tools.succeeds(
      'axial_tf.predict', f'--model={export_dir}', f'--input={files / "val"}',
      f'--output_dir={tmp_path}', '--pictures=')
  _require_same(_written(tmp_path, sorted(expected)), expected)


def test_beam(files, export_dir, expected, tmp_path):
  stems = image_files.output_stems([f'val/{name}' for name in expected])
  assert not beam_prediction.segment_all(
      export_dir, [beam_prediction.Job(
          str(files / 'val' / name), str(tmp_path / stems[f'val/{name}']))
              for name in expected], str(tmp_path), batch_size=2,
      pictures=predicted_files.Pictures([]),
      arguments=['--runner=DirectRunner', '--direct_num_workers=1'])
  _require_same(_written(tmp_path, sorted(expected)), expected)
