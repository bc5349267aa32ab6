"""The settings of a client: from arguments, the environment and profiles."""
