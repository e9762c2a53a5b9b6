"""The page's files: under a policy that lets nothing in from elsewhere, and asked for again at little cost."""

import re
from typing import Any

import httpx
import pytest


def test_the_root_is_the_page_under_a_strict_policy(server: Any) -> None:
    answer = httpx.get(server.url)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {policy[kind] for kind in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_all_that_the_page_names_is_there_and_of_this_server(server: Any) -> None:
    seen, left = set(), ["/"]
    with httpx.Client(base_url=server.url) as client:
        while left:
            path = left.pop()
            answer = client.get(path)
            assert answer.status_code == 200, path
            seen.add(path)
            folder = path.rpartition("/")[0]
            named = re.findall(r'(?:href|src)="([^"#]+)"', answer.text) if path == "/" else []
            named += [_joined(folder, one) for one in re.findall(r'from "(\.[^"]+)"', answer.text)]
            assert not [one for one in named if "//" in one]
            left += [one for one in named if one not in seen]
        views = [f"/page/views/{name}.js" for name in ("library", "teach", "search", "model", "apps")]
        assert [client.get(view).headers["content-type"] for view in views] == ["text/javascript; charset=utf-8"] * 5
    assert len(seen) > 15


def test_the_page_of_the_api_is_under_the_same_policy_and_names_nothing_elsewhere(server: Any) -> None:
    with server.client(None) as client:
        page = client.get("/docs")
        assert page.headers["content-security-policy"] == client.get("/").headers["content-security-policy"]
        named = re.findall(r'(?:href|src)="([^"]+)"', page.text)
        assert len(named) == 4
        assert "<script>" not in page.text
        for path in (*named, "/openapi.json"):
            assert path.startswith("/")
            assert client.get(path).status_code == 200, path
        assert client.get("/redoc").headers["location"] == "/docs"


@pytest.mark.parametrize("path", ["/page/nothing.js", "/page/../page.py", "/page/views%2Flibrary.js", "/page/views"])
def test_nothing_else_is_served(server: Any, path: str) -> None:
    assert httpx.get(server.url + path).status_code in (200, 404)
    assert b"import hashlib" not in httpx.get(server.url + path).content


def test_a_file_that_has_not_changed_is_not_sent_again(server: Any) -> None:
    first = httpx.get(f"{server.url}/page/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = httpx.get(f"{server.url}/page/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def _joined(folder: str, relative: str) -> str:
    parts = folder.split("/")
    for part in relative.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
