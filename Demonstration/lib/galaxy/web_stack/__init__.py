"""How the web application sits in its server."""
