"""From the heads of a network to a panoptic map, one module for each kind."""
