"""What tests ask of reports: as parsed, and as Chromium shows them."""

import html
import json
import subprocess
from html.parser import HTMLParser

from programs import program

VOID = {"meta", "link", "img", "br", "hr", "input", "base"}


class Page(HTMLParser):
    """Collects what a page refers to, its table cells, headings, and whether every figure has a name.

    A reference is any attribute that a browser would follow; content of scripts and styles is kept as text.
    """

    def __init__(self, text):
        super().__init__()
        self.references, self.cells, self.headings, self.figures, self.headers = [], [], [], [], []
        self.language, self.title, self.words = None, "", []
        self._open, self._cell = [], None
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.references += [attrs[name] for name in ("src", "href", "xlink:href", "action", "data") if name in attrs]
        if tag == "html":
            self.language = attrs.get("lang")
        if tag == "svg" and "role" in attrs:
            self.figures.append(attrs.get("aria-label"))
        if tag == "th":
            self.headers.append(attrs.get("scope"))
        if tag in ("td", "th"):
            self._cell = ""
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag in ("td", "th"):
            self.cells.append(self._cell)
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data
        if self._open and self._open[-1] == "title" and "svg" not in self._open:
            self.title += data
        if self._open and self._open[-1] not in ("script", "style"):
            self.words.append(data)


def assert_well_formed(text):
    """A page that needs nothing else, and whose parts all have names."""
    page = Page(text)
    assert page.references == [] and "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text
    assert page.language == "en" and page.title
    assert page.figures and all(page.figures)
    assert page.headers and set(page.headers) <= {"col", "row"}
    assert page.headings[0] == 1 and page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    return page


def in_browser(text, folder, expression, width=None):
    """Returns the value of an expression of JavaScript, from within the page in Chromium.

    With a width the page is in a frame of so many pixels: a headless window is never narrower than 500.
    """
    browser = program("chromium", "chromium")
    tell = f"const told = JSON.stringify({expression});"
    show = "document.title = told;" if width is None else "parent.postMessage(told, '*');"
    head, end, tail = text.rpartition("</body>")
    (folder / "page.html").write_text(f"{head}<script>{{{tell}{show}}}</script>{end}{tail}", encoding="utf-8")
    (folder / "frame.html").write_text(
        "<script>onmessage = event => document.title = event.data</script>"
        f'<iframe src="page.html" style="border: 0; width: {width}px; height: 900px"></iframe>'
    )
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    address = f"file://{folder}/{'page' if width is None else 'frame'}.html"
    done = subprocess.run([*words, address], capture_output=True, text=True, timeout=120)
    return json.loads(html.unescape(done.stdout.partition("<title>")[2].partition("</title>")[0]))


def assert_as_wide_as_the_window(text, folder, width):
    """The page itself is no wider than the window: only tables and figures scroll, in boxes of their own."""
    content, window = in_browser(text, folder, "[document.documentElement.scrollWidth, innerWidth]", width)
    assert window == width and content <= window
