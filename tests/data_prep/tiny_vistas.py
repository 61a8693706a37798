"""A tiny Mapillary Vistas, in both of its layouts."""

import json

import numpy as np
from PIL import Image

from axial_tf.specs import dataset_spec

HEIGHT, WIDTH = 12, 16
NAMES = ('-_x0', 'M2kh', 'zzz9')
JSON_NAMES = {'v1.2': 'panoptic_2018.json', 'v2.0': 'panoptic_2020.json'}
# Places in config_v2.0.json that are not evaluated.
VOID = {
    'v1.2': {65: 'void--unlabeled'},
    'v2.0': {
        2: 'construction--barrier--ambiguous',
        31: 'human--person--person-group',
        38: 'marking--discrete--ambiguous',
        79: 'object--sign--ambiguous',
        86: 'object--support--pole-group',
        96: 'object--traffic-sign--ambiguous',
        115: 'object--vehicle--vehicle-group',
        123: 'void--unlabeled'}}


def spec_of(version):
  return dataset_spec.DatasetSpec.load(f'mapillary_{version}')


def config(version):
  """The content of config_{version}.json."""
  categories = iter(spec_of(version).categories)
  labels = []
  for place in range({'v1.2': 66, 'v2.0': 124}[version]):
    void = VOID[version].get(place)
    if void:
      labels.append({'name': void, 'readable': void, 'instances': False,
                     'evaluate': False, 'color': [0, 0, 0]})
    else:
      category = next(categories)
      labels.append({
          'name': category.name, 'readable': f'{category.name} (read)',
          'instances': category.is_thing, 'evaluate': True,
          'color': list(category.color)})
  return {'labels': labels, 'version': version, 'mapping': 'public'}


class TinyVistas:
  """A split with three images, its instances/, labels/ and panoptic/."""

  def __init__(self, root, version, split='training', is_original=False):
    self.root = root
    self.version = version
    self.spec = spec_of(version)
    self.config = config(version)
    self.folder = root / split
    self.base = self.folder if is_original else self.folder / version
    self.config_path = root / (
        'config.json' if is_original else f'config_{version}.json')
    self.json_path = self.base / 'panoptic' / JSON_NAMES[version]
    for folder in (self.folder / 'images', self.base / 'instances',
                   self.base / 'labels', self.base / 'panoptic'):
      folder.mkdir(parents=True)
    self.write_config()
    for seed, name in enumerate(NAMES):
      pixels = np.random.default_rng(seed).integers(
          0, 256, [HEIGHT, WIDTH, 3], np.uint8)
      Image.fromarray(pixels).save(
          self.folder / 'images' / f'{name}.jpg', quality=95)
      self.write_instances(name, self.instances(seed))
    self.content = {'images': [], 'annotations': [], 'categories': [
        {'id': c.id, 'name': f'{c.name} (read)', 'supercategory': c.name,
         'isthing': int(c.is_thing), 'color': list(c.color)}
        for c in self.spec.categories]}
    for seed, name in enumerate(NAMES):
      self._annotate(name, self.instances(seed), seed)
    self.write_json()

  def place(self, name):
    """Place of a class in config.json."""
    return next(i for i, label in enumerate(self.config['labels'])
                if label['name'] == name)

  def instances(self, seed=0):
    """256 * class + instance, uint16 [12, 16]."""
    car = 256 * self.place('object--vehicle--car')
    ids = np.full([HEIGHT, WIDTH], 256 * self.place('nature--sky'), np.uint16)
    ids[6:] = 256 * self.place('construction--flat--road')
    ids[5:8, 9:14] = car  # the first car counts from 0
    ids[7:10, 1:5] = car + 1
    ids[0, :3] = 256 * self.place('animal--bird') + seed  # class 0
    ids[9:, 13:] = 256 * self.place('void--ego-vehicle')
    for row, (place, _) in enumerate(VOID[self.version].items()):
      ids[1 + row % 4, row] = 256 * place
    return ids

  def panoptic(self, seed=0):
    """The label that `instances` stands for, by the definition."""
    ids = self.instances(seed).astype(np.int32)
    label = np.full(ids.shape, self.spec.void_label, np.int32)
    by_name = {c.name: c for c in self.spec.categories}
    counts = {}
    # Python's dict keeps the order of the first pixels.
    for value in dict.fromkeys(ids.ravel().tolist()):
      category = by_name.get(self.config['labels'][value // 256]['name'])
      if category is None:
        continue
      number = 0
      if category.is_thing:
        number = counts[category.id] = counts.get(category.id, 0) + 1
      label[ids == value] = category.train_id * 1000 + number
    return label

  def write_config(self):
    self.config_path.write_text(json.dumps(self.config))

  def write_json(self):
    self.json_path.write_text(json.dumps(self.content))

  def write_instances(self, name, ids):
    Image.fromarray(ids).save(self.base / 'instances' / f'{name}.png')
    labels = Image.fromarray((ids // 256).astype(np.uint8))
    labels.putpalette([3, 5, 7] * 256)
    labels.save(self.base / 'labels' / f'{name}.png')

  def _annotate(self, name, ids, seed):
    """Writes the panoptic PNG, with segment ids in no order."""
    rng = np.random.default_rng(seed)
    rgb = np.zeros((*ids.shape, 3), np.uint8)
    segments = []
    by_name = {c.name: c for c in self.spec.categories}
    for value in rng.permutation(np.unique(ids)):
      category = by_name.get(self.config['labels'][value // 256]['name'])
      if category is None:
        continue
      color = rng.integers(1, 256, 3)
      mask = ids == value
      rgb[mask] = color
      segments.append({
          'id': int(color @ [1, 256, 65536]), 'category_id': category.id,
          'area': int(mask.sum()), 'bbox': [0, 0, 1, 1], 'iscrowd': 0})
    Image.fromarray(rgb).save(self.json_path.parent / f'{name}.png')
    self.content['images'].append({
        'id': name, 'file_name': f'{name}.jpg', 'width': WIDTH,
        'height': HEIGHT})
    self.content['annotations'].append({
        'image_id': name, 'file_name': f'{name}.png',
        'segments_info': segments})
