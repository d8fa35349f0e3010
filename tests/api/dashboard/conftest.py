"""People at the dashboard of a gateway."""

from collections.abc import Callable

import pytest

from app.services.access import keys
from app.services.gateway import Gateway
from tests.support.browsing import Browser
from tests.support.web import application


@pytest.fixture
def enter(gateway: Gateway) -> Callable[..., Browser]:
    """`enter("admin", "alpha")`: the browser of somebody with this role in this project."""

    def signed_in(role: str = "member", project: str = "alpha") -> Browser:
        key = keys.create(gateway, project=project, name=role, role=role).key
        return Browser(application(gateway), key)

    return signed_in


@pytest.fixture
def member(enter: Callable[..., Browser]) -> Browser:
    return enter("member")
