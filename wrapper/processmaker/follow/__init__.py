"""Following a Request: read it, list, wait, and act on its tasks."""
