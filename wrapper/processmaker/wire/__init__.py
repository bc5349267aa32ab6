"""One call of the API: a request out, an answer or an error back."""

API_PATH = "/api/1.0"
"""What follows the address of a server in the paths of its API."""
