"""Compares an exported model with the Keras model that it was made from.

Both segment the same image. The export is run as a SavedModel in this process,
and in a session like TensorFlow Serving, from pixels and from a JPEG file.
Decoding the file is timed separately, plainly and with the export's checks
against bad files, and so is encoding the map as PNG, which the Keras model does
not do; the overhead is the remaining time. The Keras model is called like in
`Predictor`, for images of any size, and also traced for this size only, where
attention may be compiled. Times are medians of alternating runs in
milliseconds, with batch 1. With --formats, the same model's heads are also
measured as files for edge devices.

  python benchmarks/serving.py                   # untrained axial_deeplab_s
  python benchmarks/serving.py --model_dir=runs/demo --size=96,128 \\
    --formats=tflite,tflite_dynamic,onnx
"""

import io
import os
import pathlib
import sys
import tempfile
from typing import Callable, Dict

from absl import flags
import numpy as np
from PIL import Image
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from axial_tf import cli
from axial_tf.export import (
  comparison,
  fixed_size,
  image_bytes,
  saved_model,
  serving_settings,
)
from axial_tf.files import image_decoding
from axial_tf.inference import panoptic as panoptic_inference
from axial_tf.keras2 import keras
from axial_tf.models import panoptic_deeplab, settings_by_name
from axial_tf.panoptic import merging
from axial_tf.specs import dataset_spec
from benchmarks import measure

_MODEL_DIR = cli.define_path(
    'model_dir', None, 'Run of a panoptic model; without it, --variant with '
    'the categories of Cityscapes and random weights.')
_VARIANT = flags.DEFINE_string(
    'variant', 'axial_deeplab_s', 'Row of VARIANTS, without --model_dir.')
_SIZE = flags.DEFINE_list('size', ['321', '321'], 'Height and width.')
_FORMATS = flags.DEFINE_list(
    'formats', [], f'Some of {", ".join(fixed_size.FORMATS)}.')
_RUNS = flags.DEFINE_integer('runs', 15, 'Number of runs for each median.')

_PNG = 'panoptic_png_bytes'
_Run = Callable[[], Dict[str, np.ndarray]]


def load() -> panoptic_inference.PanopticInference:
  """Returns the model that the flags select."""
  if _MODEL_DIR.value:
    from axial_tf.experiment import restore
    return restore.load_inference(_MODEL_DIR.value)
  keras.utils.set_random_seed(0)
  spec = dataset_spec.DatasetSpec.load('cityscapes')
  model = panoptic_deeplab.PanopticDeepLab(
      settings_by_name.panoptic_settings(_VARIANT.value), spec.num_classes)
  model(tf.zeros([1, 65, 65, 3]))
  return panoptic_inference.PanopticInference(
      model, spec, merging.MergingSettings())


def keras_functions(inference, image: np.ndarray) -> Dict[str, _Run]:
  """Returns the model itself, traced for any size and for this one."""
  images = tf.constant(image[np.newaxis])
  traced = inference.traced()
  functions = {
      'Keras, any size': tf.function(
          traced.predict, autograph=False,
          input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)]),
      'Keras, this size': tf.function(
          inference.predict, autograph=False,
          input_signature=[tf.TensorSpec(images.shape, tf.uint8)])}
  return {name: lambda f=f: _arrays(f(images))
          for name, f in functions.items()}


def exported_functions(version_dir: str, image: np.ndarray, file: bytes
                       ) -> Dict[str, _Run]:
  """Returns the export as SavedModel and in a session, from pixels and file."""
  loaded = tf.saved_model.load(version_dir)
  session = tf.compat.v1.Session(graph=tf.Graph())
  definitions = tf.compat.v1.saved_model.load(
      session, ['serve'], version_dir).signature_def
  images = image[np.newaxis]

  def in_session(signature, value, leave_out=()):
    definition = definitions[signature]
    names = sorted(set(definition.outputs) - set(leave_out))
    run = session.make_callable(
        [definition.outputs[name].name for name in names],
        [definition.inputs[key].name for key in definition.inputs])
    return lambda: dict(zip(names, run(value)))

  return {
      'SavedModel, pixels': lambda: _arrays(
          loaded.signatures['image_tensor'](image_tensor=tf.constant(images))),
      'session, pixels': in_session('image_tensor', images),
      'session, no PNG': in_session('image_tensor', images, [_PNG]),
      'session, file': in_session('serving_default', [file]),
  }


def decodings(file: bytes) -> Dict[str, _Run]:
  """Returns plain decoding of a JPEG file, and the export's checked one."""
  max_pixels = serving_settings.ServingSettings().max_pixels
  functions = {
      'decoding': lambda content: tf.io.decode_jpeg(
          content, 3, dct_method=image_decoding.DCT_METHOD),
      'checked decoding': lambda content: image_bytes.decode(
          content, max_pixels)[0]}
  content = tf.constant(file)

  def run(function):
    decode = tf.function(
        function, input_signature=[tf.TensorSpec([], tf.string)])
    return lambda: {'image': decode(content).numpy()}

  return {name: run(function) for name, function in functions.items()}


def _arrays(outputs) -> Dict[str, np.ndarray]:
  return {key: value.numpy() for key, value in outputs.items()}


def jpeg(image: np.ndarray) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, format='JPEG')
  return buffer.getvalue()


def report(times: Dict[str, float]):
  """Yields lines with the median times."""
  direct = times['Keras, any size']
  for name, value in times.items():
    yield f'{name:20}{value:9.1f} ms {value / direct:7.3f}'
  yield f'PNG: {times["session, pixels"] - times["session, no PNG"]:.1f} ms'
  for name in ('decoding', 'checked decoding'):
    beyond = times['session, file'] - times[name]
    yield (f'overhead of a file in the session beyond {name}: '
           f'{100 * (beyond / direct - 1):.1f} %')


def main():
  cli.require_known('formats', _FORMATS.value, fixed_size.FORMATS)
  height, width = cli.size('size', _SIZE.value)
  inference = load()
  file = jpeg(comparison.generated_image(height, width))
  decoders = decodings(file)
  image = decoders['decoding']()['image']
  with tempfile.TemporaryDirectory() as folder:
    version_dir = saved_model.export_saved_model(
        inference, os.path.join(folder, 'export'))
    functions = {
        **keras_functions(inference, image),
        **exported_functions(version_dir, image, file),
        **decoders}
    times = measure.median_times(functions, _RUNS.value)
    maps = [run()['panoptic_map'] for name, run in functions.items()
            if name not in decoders]
  agreement = min(float(np.mean(found == maps[0])) for found in maps)
  print(f'{_MODEL_DIR.value or _VARIANT.value}, {height}x{width}, median of '
        f'{_RUNS.value} alternating runs; {100 * agreement:.3f} % of the '
        f'pixels agree')
  print('\n'.join(report(times)), flush=True)
  for file_format in _FORMATS.value:
    content = fixed_size.convert(inference, height, width, file_format)
    told = fixed_size.check(inference, content, height, width, file_format)
    print(f'{file_format}: {len(content) / 1e6:.2f} MB, {told}', flush=True)


if __name__ == '__main__':
  cli.run(main, __doc__)
