"""The factory that Gravity hands to gunicorn: `galaxy.webapps.galaxy.fast_factory:factory()`."""

import os
from pathlib import Path

from .application import Application


def factory() -> Application:
    """The application, with its counts beside the configuration file in the data folder that all workers share."""
    root = Path(os.environ["GALAXY_CONFIG_FILE"]).resolve().parent.parent
    executions = root / "database" / "executions"
    executions.mkdir(parents=True, exist_ok=True)
    return Application(executions)
