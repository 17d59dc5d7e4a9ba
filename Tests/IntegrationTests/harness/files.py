"""Files that a running program may read at any moment."""

import os


def replace(path, text):
    """Puts a file in place whole: whoever opens it sees the old text or the new one, and never a part."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    os.replace(new, path)
