"""Record schemas, augmentation and tf.data pipelines of both tasks."""
