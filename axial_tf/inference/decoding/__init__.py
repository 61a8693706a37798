"""Turns heads into panoptic maps, one module for each kind of network."""
