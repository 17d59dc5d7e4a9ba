"""gunicorn's settings beyond those on the command line that Gravity writes."""

# Whoever may open the unix socket is the proxy: what it says about the client is believed.
forwarded_allow_ips = "*"
# Longer than any request of the demonstration that isn't an event stream or a WebSocket.
graceful_timeout = 30
# As in Galaxy: an idle connection is closed soon, and a proxy has to live with it.
keepalive = 2
