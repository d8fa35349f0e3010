"""The settings of the gateway, read once from the environment."""

from app.settings.fields import Settings
from app.settings.reading import SettingsError, documented, from_environment, with_driver

__all__ = ["Settings", "SettingsError", "documented", "from_environment", "with_driver"]
