"""DeeperLab's keypoints: targets, losses, and decoding to a panoptic map.

An instance is described by five keypoints, the corners of its box and its
center of mass, which are found by voting and grouped into instances; each pixel
then goes to the instance whose keypoints it points to. The paper has no public
code, and its text leaves much open: docs/deeperlab.md tells what is sourced,
what is unconfirmed, and what is ours.
"""
