import sys

from app import create_app
from app.logs import get_logger

BOOT_ERROR = 3  # gunicorn starts no other worker then

try:
    app = create_app()
except ValueError as error:  # a setting or a key is wrong; the message says which
    get_logger().error("web.not_started", error=str(error))
    sys.exit(BOOT_ERROR)
