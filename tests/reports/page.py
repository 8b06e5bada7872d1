"""Parse the page of a report."""

import json
from html.parser import HTMLParser

BUDGETS = ["1e21", "5.76e23"]
VOID = {"meta", "img", "br", "input"}
HIDDEN = ("style", "script")


class Page(HTMLParser):
    """The texts, elements and scripts of a page; `open` lists the tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] not in HIDDEN:
            self.texts.append(" ".join(data.split()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.texts))

    @property
    def budgets(self) -> dict:
        return json.loads(self.scripts[0])
