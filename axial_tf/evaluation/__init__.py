"""Metrics: panoptic quality, average precision, mean IoU, top-k accuracy."""
