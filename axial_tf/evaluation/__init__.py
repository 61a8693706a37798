"""Scores of panoptic maps: panoptic quality and mean IoU."""
