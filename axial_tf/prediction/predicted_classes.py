"""Writes the classes of image files, as readable text or as JSON lines."""

import contextlib
import dataclasses
import itertools
import json
import os
from typing import Optional, Sequence

from axial_tf.files import image_reader, line_files, paths
from axial_tf.prediction import image_classifier, results

# Relative to --output_dir.
_RESULTS = 'classes.jsonl'


def classify_all(
    classifier: image_classifier.ImageClassifier, files: Sequence[str],
    *, top: int, batch_size: int, as_json: bool,
    output_dir: Optional[str] = None) -> None:
  """Prints the most probable classes of each file.

  A JSON line is {"file": ..., "classes": [{"label", "id", "name",
  "probability"}, ...]}.

  Args:
    classifier: the model.
    files: the images.
    top: number of classes of each.
    batch_size: images at a time.
    as_json: whether to print JSON lines instead of text.
    output_dir: folder in which classes.jsonl is written instead, line by line.

  Raises:
    errors.UserError: some files could not be read (the others are processed),
      or the results cannot be written.
  """
  path = None if output_dir is None else os.path.join(output_dir, _RESULTS)
  lines = line_files.LineFile(path) if path else contextlib.nullcontext()
  with lines, image_reader.ImageReader(files) as reader:
    pairs = iter(reader)
    while batch := list(itertools.islice(pairs, batch_size)):
      found = classifier.batch([image for _, image in batch], top)
      for (file, _), classes in zip(batch, found):
        if path is None:
          reader.finish(
              json_line(file, classes) if as_json else _text(file, classes))
        else:
          lines.add(json_line(file, classes))
          reader.finish()
  if path is not None:
    print(f'{len(files) - len(reader.failed)} images classified, results in '
          f'{path}')
  image_reader.require_all(files, reader.failed, 'classified')


def json_line(file: str, classes: Sequence[results.ClassProbability]) -> str:
  """Returns the classes of a file as a line of JSON, without its end."""
  return json.dumps({
      'file': paths.printable(file),
      'classes': [dataclasses.asdict(entry) for entry in classes]})


def _text(file: str, classes: Sequence[results.ClassProbability]
          ) -> str:
  return file + ''.join(
      f'\n  {100 * entry.probability:6.2f} %  {entry.name}'
      for entry in classes)
