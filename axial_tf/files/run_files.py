"""The names of the files in the folder of a training run.

Imports nothing heavy: command-line tools ask here before TensorFlow loads.
"""

import os

# The gin text that rebuilds the model.
CONFIG = 'config.gin'
# Every value in use, for people; only the chief writes it.
OPERATIVE_CONFIG = 'operative_config.gin'
# What the labels mean: of a panoptic run, of a classifier's.
DATASET_SPEC = 'dataset_spec.json'
CLASS_SPEC = 'class_spec.json'
# A JSON line for each validation.
METRICS = 'metrics.jsonl'


def is_classifier(model_dir: str) -> bool:
  """Whether a folder is a training run of a classifier."""
  return os.path.exists(os.path.join(model_dir, CLASS_SPEC))
