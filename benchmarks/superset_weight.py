"""What opening a dashboard in Superset costs a reader on a slow line: bytes, requests, seconds to the first number.

Run: SUPERSET_ADMIN_PASSWORD=… SUPERSET_VIEWER_PASSWORD=… .venv/bin/python benchmarks/superset_weight.py
[--url http://127.0.0.1:8088]. A Chromium with nothing in its cache, at 1.6 Mbit/s and 150 ms, opens an empty dashboard
(made for it as the admin, and deleted: what Superset itself costs), and the viewer's first dashboard of each language;
both are logged in already; in a window of a desk and one of a phone. Prints, for each, the bytes that came over the
line, the requests, and the seconds until the page shows a number, and until a chart does (in the empty one: until its
title stands there).
"""

import argparse
import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from playwright.sync_api import Browser, sync_playwright

DASHBOARDS = {"en": "air-quality", "fr": "qualite-de-l-air"}
WINDOWS = {"desk": (1400, 900), "phone": (420, 900)}
#: What is written into the page itself; a cell of a table: a chart on a canvas has no text.
NUMBER, CHART = "#first strong, [data-test-chart-name] tbody td", "[data-test-chart-name] tbody td"
TITLE = ".header-with-actions"
_LINE = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 1.6e6 / 8}
_HAS = """([selector, pattern]) =>
  [...document.querySelectorAll(selector)].some(e => new RegExp(pattern).test(e.innerText))"""


def log_in(browser: Browser, url: str, user: str, password: str) -> Any:
    """Return the cookies of a user."""
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{url}/login/")
        page.fill("#username", user)
        page.fill("#password", password)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/(superset|dashboard)/"))
        return context.storage_state()


@contextmanager
def empty_dashboard(url: str, password: str) -> Iterator[str]:
    """Make a dashboard without a chart, and delete it in the end; its number."""
    session = requests.Session()
    session.headers["Referer"] = url
    content = {"username": "admin", "password": password, "provider": "db"}
    token = session.post(f"{url}/api/v1/security/login", json=content).json()["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"
    session.headers["X-CSRFToken"] = session.get(f"{url}/api/v1/security/csrf_token/").json()["result"]
    made = session.post(f"{url}/api/v1/dashboard/", json={"dashboard_title": "empty", "published": True}).json()
    try:
        yield str(made["id"])
    finally:
        session.delete(f"{url}/api/v1/dashboard/{made['id']}").raise_for_status()


def measure(
    browser: Browser, cookies: Any, address: str, window: tuple[int, int], waits_for: list[tuple[str, str]]
) -> tuple[int, int, list[float], dict[str, int]]:
    """Open a page; return bytes, requests, seconds until it shows each of what is waited for, and bytes by kind."""
    width, height = window
    with browser.new_context(viewport={"width": width, "height": height}, storage_state=cookies) as context:
        page = context.new_page()
        line = context.new_cdp_session(page)
        line.send("Network.enable")
        line.send("Network.setCacheDisabled", {"cacheDisabled": False})
        line.send("Network.emulateNetworkConditions", _LINE)
        kinds: dict[str, tuple[str, str]] = {}
        sizes: dict[str, int] = {}
        line.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: (e["type"], e["response"]["url"])}))
        line.on("Network.loadingFinished", lambda e: sizes.update({e["requestId"]: int(e["encodedDataLength"])}))
        start = time.perf_counter()
        page.goto(address, wait_until="commit")
        seconds = []
        for selector, pattern in waits_for:
            page.wait_for_function(_HAS, arg=[selector, pattern], timeout=120_000)
            seconds.append(time.perf_counter() - start)
        page.wait_for_load_state("networkidle", timeout=120_000)
        page.wait_for_timeout(2000)
        by_kind: dict[str, int] = defaultdict(int)
        for request, size in sizes.items():
            by_kind[kinds.get(request, ("Other", ""))[0]] += size
        if os.environ.get("EACH"):
            for request, size in sorted(sizes.items(), key=lambda pair: -pair[1])[:60]:
                print(f"    {size:9,d} {kinds.get(request)}")
        return sum(sizes.values()), len(sizes), seconds, dict(by_kind)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8088")
    arguments = parser.parse_args()
    url, of_number = arguments.url, [(NUMBER, r"\d"), (CHART, r"\d")]
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright, empty_dashboard(url, os.environ["SUPERSET_ADMIN_PASSWORD"]) as empty:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        viewer = log_in(browser, url, "viewer", os.environ["SUPERSET_VIEWER_PASSWORD"])
        admin = log_in(browser, url, "admin", os.environ["SUPERSET_ADMIN_PASSWORD"])
        pages = {"empty": (empty, [(TITLE, r"\w")])} | {name: (slug, of_number) for name, slug in DASHBOARDS.items()}
        print("dashboard window     bytes requests  number s  chart s  of which")
        for name, (slug, waits_for) in pages.items():
            for window, size in WINDOWS.items():
                address = f"{url}/superset/dashboard/{slug}/"
                cookies = admin if slug == empty else viewer
                total, number, seconds, kinds = measure(browser, cookies, address, size, waits_for)
                told = json.dumps(dict(sorted(kinds.items(), key=lambda pair: -pair[1])))
                print(
                    f"{name:9} {window:6} {total:9,d} {number:8d} {seconds[0]:9.1f} {seconds[-1]:8.1f}  {told}",
                    flush=True,
                )
        browser.close()


if __name__ == "__main__":
    main()
