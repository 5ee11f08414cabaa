"""The page at /: its files, which anybody may have. What it shows it fetches with the key that is typed into it.

Knows the names of the files; knows nothing of what they say.

    api.include_router(dashboard.router)
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import Response

from covey.server.asked import asked_of
from covey.server.errors import ApiError

router = APIRouter(include_in_schema=False)

_FOLDER = files("covey.server") / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", "": "text/plain"}
# Scripts, styles and pictures are the server's own files, and nothing else may be reached, embedded or sent to.
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {"content-security-policy": _POLICY, "referrer-policy": "no-referrer", "cross-origin-opener-policy": "same-origin"}
_FREE, _WANTED = b'data-key="free"', b'data-key="wanted"'
_FILES = (
    "index.html",
    "style.css",
    "icon.svg",
    "main.js",
    "stream.js",
    "figures.js",
    "charts.js",
    "tables.js",
    "playground.js",
    "admin.js",
    "words.js",
    "uplot/uPlot.iife.min.js",
    "uplot/uPlot.min.css",
    "uplot/LICENSE",
    "uplot/NOTICE",
)


def _read() -> dict[str, tuple[bytes, str]]:
    """Once, when the server is put together: no request names a file to open."""
    held = {}
    for name in _FILES:
        ending = name[name.rindex(".") :] if "." in name else ""
        held[name] = ((_FOLDER / name).read_bytes(), f"{_TYPES[ending]}; charset=utf-8")
    return held


_HELD = _read()


@router.get("/", response_model=None)
async def index(request: Request) -> Response:
    """The page, which is told whether to ask for a key first: to find out by being refused would be an error in the browser's console."""
    content, media = _HELD["index.html"]
    if asked_of(request).service.keys.required:
        content = content.replace(_FREE, _WANTED)
    return Response(content, headers={**_HEADERS, "content-type": media})


@router.get("/page/{name:path}", response_model=None)
async def part(name: str) -> Response:
    """One of its files."""
    if name not in _HELD:
        raise ApiError(404, f"/page/{name[:60]}: there is no such file", code="not_found")
    content, media = _HELD[name]
    return Response(content, headers={**_HEADERS, "content-type": media})
