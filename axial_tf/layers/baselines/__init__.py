"""Local 2-D attention, which the paper compares axial attention to."""
