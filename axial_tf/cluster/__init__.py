"""Work on many machines: Apache Beam and its runners."""
