"""The classes of image files, as lines for a person or as JSON lines."""

import dataclasses
import json
import os
import sys
from typing import Iterator, List, Optional, Sequence, Tuple

from tqdm import tqdm

from axial_tf import errors, image_classifier, images, whole_files

# In a training run's folder: the classes of its model.
CLASS_SPEC = 'class_spec.json'
# Of --output_dir.
_RESULTS = 'classes.jsonl'


def is_classifier(path: str) -> bool:
  """Whether a folder is a training run of a classifier."""
  return os.path.exists(os.path.join(path, CLASS_SPEC))


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
    top: how many classes of each.
    batch_size: images at a time.
    as_json: print JSON lines in place of text.
    output_dir: folder in which classes.jsonl is written instead.

  Raises:
    errors.UserError: some files could not be read (the others are done), or
      the results cannot be written.
  """
  failed = []
  lines = []
  with tqdm(total=len(files), unit=' images', file=sys.stderr) as bar:
    for batch in _batches(files, batch_size, failed, bar):
      found = classifier.batch([image for _, image in batch], top)
      for (file, _), classes in zip(batch, found):
        if as_json or output_dir is not None:
          line = json.dumps({
              'file': file,
              'classes': [dataclasses.asdict(entry) for entry in classes]})
        else:
          line = file + ''.join(
              f'\n  {100 * entry.probability:6.2f} %  {entry.name}'
              for entry in classes)
        if output_dir is None:
          bar.write(line, file=sys.stdout)
        else:
          lines.append(line)
        bar.update()
  if output_dir is not None:
    path = os.path.join(output_dir, _RESULTS)
    whole_files.write(path, ''.join(f'{line}\n' for line in lines).encode())
    print(f'{len(lines)} images classified, results in {path}')
  if failed:
    raise errors.UserError(
        f'{len(failed)} of {len(files)} images could not be classified '
        f'(reasons above): {", ".join(failed)}')


def _batches(files: Sequence[str], batch_size: int, failed: List[str], bar
             ) -> Iterator[List[Tuple[str, object]]]:
  """Reads images; those that cannot be read are named and left out."""
  batch = []
  for file in files:
    try:
      batch.append((file, images.as_rgb(file)))
    except errors.UserError as error:
      failed.append(file)
      bar.update()
      bar.write(f'error: {" ".join(str(error).split())}', file=sys.stderr)
    if len(batch) == batch_size:
      yield batch
      batch = []
  if batch:
    yield batch
