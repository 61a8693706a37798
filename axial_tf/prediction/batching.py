"""Groups incoming images of equal size into batches."""

from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

import numpy as np

# Limit of buffered images of all sizes, in batches.
_WAITING_BATCHES = 4

Item = Tuple[Any, np.ndarray]


def equal_sizes(items: Iterable[Item], batch_size: int,
                longest: Optional[int] = None) -> Iterator[List[Item]]:
  """Groups images by their size.

  Args:
    items: (key, image [height, width, channels]); read no further than needed.
    batch_size: images of a full batch.
    longest: side in pixels above which an image is not buffered, but is a batch
      of its own; None for no limit.

  Yields:
    Items whose images have the same size, `batch_size` of them or fewer: the
    number of buffered images is limited, and so is the memory.
  """
  waiting: Dict[Tuple[int, ...], List[Item]] = {}
  count = 0
  for key, image in items:
    if longest is not None and max(image.shape[:2]) > longest:
      yield [(key, image)]
      continue
    group = waiting.setdefault(image.shape, [])
    group.append((key, image))
    count += 1
    if len(group) < batch_size:
      if count < _WAITING_BATCHES * batch_size:
        continue
      group = max(waiting.values(), key=len)
    count -= len(group)
    yield waiting.pop(group[0][1].shape)
  yield from waiting.values()
