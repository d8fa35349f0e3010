"""gunicorn's settings, for the Procfile's `web` and for `make run`; both read the environment."""

from pathlib import Path

from app import logs
from app.settings import SettingsError, from_environment
from app.web import Logger, Worker

try:
    settings = from_environment()
    logs.configure(settings)
except SettingsError as error:
    raise SystemExit(str(error)) from error

bind = f"0.0.0.0:{settings.port}"
workers = settings.web_concurrency
# Threads mostly wait for the database, the disk and providers; 64 of them cost a few megabytes.
threads = settings.web_threads
# A heartbeat of the worker process, not a limit on requests: long uploads and downloads outlive it.
timeout = 60
# Transfers that run when a deployment stops this process may end.
graceful_timeout = 120
# Longer than nginx keeps its idle connections, so that it never sends into one that just closed.
keepalive = 75
max_requests = 0
preload_app = False
# On a disk the heartbeat file can block a worker for seconds, which then counts as dead.
memory = Path("/dev/shm")  # noqa: S108 - gunicorn makes a file there by mkstemp
worker_tmp_dir = str(memory) if memory.is_dir() else None
# The most that gunicorn takes: an odd id is for the application to refuse.
limit_request_line = 8190
# A control socket that nobody uses is a way in.
control_socket_disable = True
# The application logs every operation, with more than an access log has.
accesslog = None
errorlog = "-"

logger_class = Logger
worker_class = Worker
