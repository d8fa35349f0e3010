"""gunicorn's own messages."""

from typing import Any

from gunicorn import glogging

from app import logs
from app.settings import from_environment


class Logger(glogging.Logger):
    """Logs gunicorn's messages in the application's format. (`logconfig_dict` would enable the access log.)"""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers = [logs.Bridge()]
        self.error_log.setLevel(logs.level(from_environment()))
