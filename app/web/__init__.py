"""What gunicorn runs: its worker and its logger, as `deploy/gunicorn.conf.py` configures them.

They override private methods of gunicorn, so setup.cfg limits its version.
"""

from app.web.logger import Logger
from app.web.worker import Worker

__all__ = ["Logger", "Worker"]
