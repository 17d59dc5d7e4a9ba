"""What Galaxy serves over HTTP."""
