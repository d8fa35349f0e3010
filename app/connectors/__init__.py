"""The code that speaks to providers."""

import sys

from app.connectors.moved import MovedModules

sys.meta_path.append(MovedModules())
