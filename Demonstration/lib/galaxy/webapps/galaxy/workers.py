"""The gunicorn worker class that Gravity names on the command line."""

from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):
    """gunicorn's worker around uvicorn, with the parts that a Galaxy without extras uses."""

    CONFIG_KWARGS = {"loop": "asyncio", "http": "h11", "ws": "websockets-sansio"}
