"""What this site answers before Superset does: the language of a page, where one lands, the packed assets."""

from functools import cache
from pathlib import Path
from typing import Any

import brotli
import language
from flask import Flask, Response, abort, redirect, request, send_file, session
from flask_login import current_user
from opening import air_now
from slugs import DASHBOARDS, PUBLIC, in_language
from werkzeug.security import safe_join

__all__ = ["register"]

_HERE = Path(__file__).parent
_ASSETS = "/static/assets/"
_FOREVER = 365 * 86_400
_PACK = "/superset/language_pack/fr/"
#: Superset asks for a picture with all flags of the world to show the one of the language.
_FLAGS = "/static/appbuilder/css/flags/flags16.css"
#: The flags, and an entry of the menu that is offered to all and does nothing for a viewer.
_HIDDEN = 'i.flag, [data-menu-id$="-export-yaml"], [data-menu-id$="-export-divider"] { display: none !important; }'
_DATA = "/api/v1/chart/data"
_LANDINGS = {"/", "/superset/welcome/"}


def register(app: Flask, state: Path, anonymous: bool, mongodb: tuple[str, str]) -> None:
    """Put our answers before Superset's.

    Args:
        app: Superset's.
        state: Folder of its state.
        anonymous: Whether the dashboards of `slugs.PUBLIC` are read without logging in.
        mongodb: MongoDB's URI, and its database.
    """

    pack = brotli.compress(language.language_pack(state), quality=9)

    def before() -> Any:
        path = request.path
        if path.startswith("/static/"):
            return _static(path)
        if path == _PACK:
            answer = Response(pack, mimetype="application/json", headers={"Content-Encoding": "br"})
            if "br" not in request.accept_encodings:
                answer = Response(brotli.decompress(pack), mimetype="application/json")
            answer.headers["Vary"] = "Accept-Encoding"
            answer.add_etag()
            answer.cache_control.max_age = 3600
            return answer.make_conditional(request)
        if path in ("/health", "/healthcheck", "/ping"):
            return None
        if (
            anonymous
            and path.startswith("/api/v1/chart/")
            and not path.startswith(_DATA)
            and not current_user.is_authenticated
        ):
            abort(403)  # the right to a chart's data is the right to the list of charts too
        chosen = path.removeprefix("/lang/")
        if path.startswith("/lang/") and chosen in DASHBOARDS.values():
            session["locale"] = chosen
            return redirect(_address(in_language(language.slug_of(request.referrer), chosen)))
        now = language.of_request(request, session.get("locale"))
        if session.get("locale") != now:
            session["locale"] = now
        if path in _LANDINGS and request.method == "GET" and (anonymous or current_user.is_authenticated):
            return redirect(_address(in_language(None, now)))
        return None

    def after(answer: Response) -> Response:
        slug = language.slug_of(request.path)
        if slug and answer.mimetype == "text/html" and answer.status_code == 200:
            answer.headers["Link"] = _links(DASHBOARDS[slug])
            if slug in PUBLIC:
                now = air_now(DASHBOARDS[slug], *mongodb)
                answer.set_data(answer.get_data(as_text=True).replace('<div id="app"', f'{now}<div id="app"', 1))
        return answer

    app.before_request_funcs.setdefault(None, []).append(before)
    app.after_request_funcs.setdefault(None, []).append(after)


def _address(slug: str) -> str:
    return f"/superset/dashboard/{slug}/"


def _static(path: str) -> Any:
    """Answer with what `scripts/superset install` packed; its names change with its content."""
    if path == _FLAGS:
        return Response(_HIDDEN, mimetype="text/css", headers={"Cache-Control": "max-age=86400"})
    packed = safe_join(str(_assets()), path.removeprefix(_ASSETS) + ".br") if path.startswith(_ASSETS) else None
    if packed is None or "br" not in request.accept_encodings or not Path(packed).is_file():
        return None
    kind = "text/css" if path.endswith(".css") else "image/svg+xml" if path.endswith(".svg") else "text/javascript"
    answer = send_file(packed, mimetype=kind, max_age=_FOREVER, conditional=True)
    answer.headers["Content-Encoding"] = "br"
    answer.headers["Vary"] = "Accept-Encoding"
    answer.cache_control.immutable = True
    return answer


@cache
def _assets() -> Path:
    import superset

    return Path(superset.__file__).parent / "static" / "assets"


@cache
def _links(of_language: str) -> str:
    """Return what a dashboard's page will ask for, for the browser to fetch at once.

    ``chunks.txt`` names the parts of Superset's code that a dashboard loads one after the other.
    """
    names = [name for name in (_HERE / "chunks.txt").read_text().split() if (_assets() / name).is_file()]
    links = [f"<{_ASSETS}{name}>; rel=preload; as={'style' if name.endswith('.css') else 'script'}" for name in names]
    if of_language == "fr":
        links.append(f"<{_PACK}>; rel=preload; as=fetch; crossorigin")
    return ", ".join(links)
