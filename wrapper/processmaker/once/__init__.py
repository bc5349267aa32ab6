"""Starting a Request once."""
