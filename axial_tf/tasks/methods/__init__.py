"""Lists how each kind of panoptic network learns."""
