"""What a client is made of: arguments, the environment, profiles."""
