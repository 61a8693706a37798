"""Records, augmentation and pipeline of panoptic segmentation."""
