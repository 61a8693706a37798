"""Makes the files that a page offers, in the formats of the commands."""

import os
from typing import Any, Callable, Dict, Mapping, NamedTuple
import urllib.parse

from axial_tf import errors
from axial_tf.files import images
from axial_tf.prediction import predicted_classes, predicted_files

_PNG, _JSON = 'image/png', 'application/json'


class Download(NamedTuple):
  """A file.

  Attributes:
    name: its name, without folders.
    kind: its media type.
    content: its content.
  """

  name: str
  kind: str
  content: bytes

  @property
  def headers(self) -> Dict[str, str]:
    """Headers that make a browser save it under its name."""
    name = urllib.parse.quote(self.name, safe='')
    return {'Content-Disposition': f"attachment; filename*=UTF-8''{name}"}


class File(NamedTuple):
  """A file that is made for each picture.

  Attributes:
    title: its title on the page.
    ending: what follows the picture's name in its name.
    kind: its media type.
    content: function of the results for a picture and of the picture's name
      that returns the content.
  """

  title: str
  ending: str
  kind: str
  content: Callable[[Any, str], bytes]

  def make(self, results: Any, name: str) -> Download:
    """Makes the file for a picture with this name."""
    stem = os.path.splitext(os.path.basename(name))[0]
    return Download(stem + self.ending, self.kind, self.content(results, name))


Files = Mapping[str, File]

# Made from a `PanopticResult`, as `axial_tf.predict` writes them.
OF_SEGMENTS: Files = {
    'segments': File('Segments (PNG)', '_panoptic.png', _PNG,
                     lambda result, _: result.panoptic_png),
    'table': File('Segments (JSON)', '.json', _JSON,
                  lambda result, _: predicted_files.segments_json(result)),
    'picture': File('Picture (PNG)', '_overlay.png', _PNG,
                    lambda result, _: images.png_bytes(
                        predicted_files.overlay(result))),
}
# Made from `ClassProbability` values, as `axial_tf.classify` prints them.
OF_CLASSES: Files = {
    'table': File('Classes (JSON)', '.json', _JSON, lambda classes, name: (
        predicted_classes.json_line(name, classes) + '\n').encode())}


def of(files: Files, which: str) -> File:
  """Returns one of the files.

  Raises:
    errors.UserError: there is no such file.
  """
  if which not in files:
    raise errors.UserError(f'expected one of {", ".join(files)}, got {which}')
  return files[which]


def links(files: Files, key: str) -> str:
  """Returns links to the files of the picture with this key, as HTML."""
  return '<div class="links">' + ''.join(
      f'<a href="files/{key}/{which}" download>{file.title}</a>'
      for which, file in files.items()) + '</div>'
