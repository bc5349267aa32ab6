"""One call of the API: a request out, an answer or an error back."""
