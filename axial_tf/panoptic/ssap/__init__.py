"""SSAP: affinities of pixels, and instances as a partition of their graph.

Gao et al., "SSAP: Single-Shot Instance Segmentation With Affinity Pyramid"
(ICCV 2019). Neither its full text nor code by its authors was at hand:
"(unconfirmed)" marks what was recalled without a source, "(ours)" a choice of
this package. `windows`, `contraction`, `cascade` and `pixel_labels` need no
TensorFlow.
"""
