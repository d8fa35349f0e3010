"""A browser for tests that runs no scripts: it keeps cookies, follows forms, and reads pages as HTML."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

VOID = {"meta", "link", "img", "input", "br", "hr", "path", "rect", "line", "circle"}


@dataclass
class Element:
    """An element: its attributes, and the text in it."""

    name: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """All elements of a page, in order."""

    elements: list[Element] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().name != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, name: str) -> Iterator[Element]:
        return (element for element in self.elements if element.name == name)


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    return page


class Browser:
    """Somebody at the dashboard of `flask`; with `key`, signed in."""

    def __init__(self, flask: Flask, key: str = "", **fields: str) -> None:
        self.client = flask.test_client()
        if key:
            answer = self.sign_in(key, **fields)
            assert answer.status_code == 303, answer.text

    def get(self, path: str, **more: Any) -> TestResponse:
        headers = {"Accept": "text/html", **more.pop("headers", {})}
        return self.client.get(path, headers=headers, **more)

    def sign_in(self, key: str, **fields: str) -> TestResponse:
        return self.post("/ui/sign-in", page="/ui/sign-in", credential=key, **fields)

    def post(self, path: str, *, page: str = "/ui/batches", **fields: Any) -> TestResponse:
        """Send a form with the token that `page` has."""
        sent = {"csrf": self.form_token(page), **fields}
        return self.client.post(
            path, data=sent, headers={"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
        )

    def form_token(self, page: str = "/ui/batches") -> str:
        found = [e for e in parsed(self.get(page).text).all("meta") if e.attributes.get("name") == "csrf"]
        return found[0].attributes["content"] if found else ""

    def page(self, path: str) -> Page:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return parsed(answer.text)

    @property
    def cookie(self) -> str:
        found = self.client.get_cookie("batchgate_session", path="/ui")
        return "" if found is None else found.value
