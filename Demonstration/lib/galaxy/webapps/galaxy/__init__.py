"""The web application of the stand-in."""
