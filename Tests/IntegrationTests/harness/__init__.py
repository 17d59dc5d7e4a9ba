"""Scripted upstreams, raw clients and proxies under test, over real sockets."""
