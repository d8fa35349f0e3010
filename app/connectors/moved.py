"""Old module names that connectors of other packages import, from before this package was divided.

Not for use in this repository.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ROOM = "app.connectors"
MOVED = {
    "abilities": "contract",
    "base": "contract",
    "native": "contract",
    "answers": "http.judging",
    "spool": "http.spool",
    "declarations": "catalogue.declarations",
    "registry": "catalogue.registry",
    "openai_compatible": "providers.openai.lines",
    "openai_shaped": "providers.openai.connector",
}


class MovedModules(MetaPathFinder, Loader):
    """Finds a module under its old name. It is the last of all finders, so it hides no existing module."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        room, _, name = fullname.rpartition(".")
        return ModuleSpec(fullname, self) if room == ROOM and name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.rpartition(".")[2]
        sys.modules[module.__name__] = importlib.import_module(f"{ROOM}.{MOVED[name]}")
