"""The files of the page that a server shows, and what they may load."""

from __future__ import annotations

from pathlib import Path

_SHARED = Path(__file__).parents[1]  # the folder of what all pages have in common
_OWN, _PANEL = Path(__file__).parent / "page", _SHARED / "panel"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
# By the names that a browser asks for. The meters, spectra and knobs are those of the panel.
FILES = {
    "": _OWN / "page.html",
    "base.css": _SHARED / "page.css",
    "base.js": _SHARED / "page.js",
    "panel.css": _PANEL / "page.css",
    "draw.js": _PANEL / "draw.js",
    "knobs.js": _PANEL / "knobs.js",
    **{name: _OWN / name for name in ("page.css", "page.js", "sound.js", "link.js")},
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; "
        "connect-src 'self'; img-src 'self' data:; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self)",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
