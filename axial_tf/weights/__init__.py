"""Import of published weights of other implementations."""
