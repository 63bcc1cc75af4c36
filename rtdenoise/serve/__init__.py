"""Streams of many clients in one process, and the client of such a server. See docs/serve.md."""
