"""From images of any size to segments or classes, in TensorFlow graphs."""
