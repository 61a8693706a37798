"""An experiment: its gin files, its folder, and the run from start to end."""
