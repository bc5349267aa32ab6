"""The settings of gunicorn for gunicorn_app.py."""

preload_app = True  # the client and the journal are made once, before the fork; each worker gets its own connections
workers = 4
threads = 8  # without threads, a worker that waits for one start for longer than `timeout` is killed
timeout = 120
