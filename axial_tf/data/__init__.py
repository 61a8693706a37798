"""Data set descriptions, the record schema, augmentation and tf.data."""
