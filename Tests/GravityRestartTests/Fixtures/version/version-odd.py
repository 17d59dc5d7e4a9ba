#!/usr/bin/env python3
"""What a site made of it.

VERSION_MAJOR = "9"
"""

OTHER = 1  # "unused

NAMES = {
"VERSION_MAJOR": '''
VERSION_MAJOR = "8"
''',
}


def minor():
    VERSION_MINOR = "7"
    return VERSION_MINOR


VERSION_MAJOR : str = '25.0'  # the year's first
VERSION_MINOR = "2.dev0"
VERSION = VERSION_MAJOR + '.' + VERSION_MINOR
