"""Records, augmentation and pipeline of image classification."""
