"""gunicorn's configuration, for the Procfile's `web` process and for `make run`."""

import os
import resource
from pathlib import Path

from app import logs
from app.settings import SettingsError, from_environment
from app.web import Logger, Worker

try:
    settings = from_environment()
    logs.configure(settings)
except SettingsError as error:
    raise SystemExit(str(error)) from error

bind = f"{settings.bind}:{settings.port}"
workers = settings.web_concurrency
# Threads mostly wait for the database, the disk and providers; 64 of them take a few megabytes.
threads = settings.web_threads
# Each process holds so many connections, most of them idle, and opens files beside them.
worker_connections = 1000
FILES = 4096
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if soft < FILES:
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard))
# Limit on the heartbeat of a worker process, not on requests: long uploads and downloads are not affected.
timeout = 60
# Seconds that transfers in progress get to finish when a deployment stops this process.
graceful_timeout = 120
# More than nginx's keepalive_timeout, so that nginx never sends a request into a closing connection.
keepalive = 75
max_requests = 0
preload_app = False
# In memory: on a disk, the heartbeat file can block a worker for seconds, and gunicorn then kills it as hung.
memory = Path("/dev/shm")  # noqa: S108 - gunicorn creates the file with mkstemp
worker_tmp_dir = str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None
# gunicorn's maximum, so that the application rejects overlong ids in its own error format.
limit_request_line = 8190
# Unused, and attack surfaces. A header must neither move the application to another path nor choose the scheme.
control_socket_disable = True
forwarder_headers = ""
secure_scheme_headers = {}
# The application logs every operation, in more detail than an access log.
accesslog = None
errorlog = "-"

logger_class = Logger
worker_class = Worker
