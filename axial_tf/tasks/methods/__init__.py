"""How each kind of panoptic network learns and is looked at."""
