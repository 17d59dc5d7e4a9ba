"""The version that `/api/version` answers; Gravity reads VERSION from this file."""

VERSION_MAJOR = "26.1"
VERSION_MINOR = "demonstration"
VERSION = f"{VERSION_MAJOR}.{VERSION_MINOR}"
