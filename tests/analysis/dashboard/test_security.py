from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from analysis.dashboard.app import create_app
from analysis.dashboard.experiments import Experiments
from analysis.dashboard.pages import overview
from analysis.dashboard.security import CALLBACK_PATH, Access, is_loopback
from rc_core.cells import Grid
from rc_core.storage import LocalStorage
from tests.analysis.conftest import MakeSweep

TOKEN = "0123456789abcdef-x"
HOST = "localhost:8050"
GRID = Grid(randomizations=(0.0, 1.0), sparsities=(0.5,), seeds=(42,))
# A page, data, a callback's layout, a script of Dash's, an asset, colours, a file, and nothing.
PATHS = (
    "/",
    "/e/digits/trials",
    "/_dash-layout",
    "/_dash-dependencies",
    "/_dash-component-suites/dash/deps/react@18.3.1.min.js",
    "/assets/dashboard.js",
    "/colors.css",
    "/download/digits/trials.csv",
    "/download/nothing/trials.csv",
)


def client_of(folder: Path, access: Access | None = None, only: str | None = None) -> FlaskClient:
    experiments = Experiments(LocalStorage(folder), only=only)
    return create_app(experiments, access or Access(host="127.0.0.1", port=8050)).test_client()


@pytest.fixture
def client(make_sweep: MakeSweep) -> FlaskClient:
    return client_of(make_sweep(grid=GRID).parent)


@pytest.fixture
def guarded(make_sweep: MakeSweep) -> FlaskClient:
    access = Access(host="0.0.0.0", port=8050, token=TOKEN, allowed_hosts=("dash.example.org",))
    return client_of(make_sweep(grid=GRID).parent, access)


def get(client: FlaskClient, path: str, host: str = HOST, **headers: str) -> TestResponse:
    return client.get(path, headers={"Host": host, **headers}, buffered=True)


def ask(
    client: FlaskClient,
    path: str,
    search: str = "",
    *,
    shown: dict[str, Any] | None = None,
    origin: str = f"http://{HOST}",
) -> TestResponse:
    """What the browser posts to see a page."""
    view = {"path": path, "search": search, "dark": False}
    body = {
        "output": "answer.data",
        "outputs": {"id": "answer", "property": "data"},
        "inputs": [
            {"id": "view", "property": "data", "value": view},
            {"id": "tick", "property": "n_intervals"},
            {"id": "refresh", "property": "n_clicks"},
        ],
        "state": [{"id": "shown", "property": "data", "value": shown or {}}],
        "changedPropIds": ["view.data"],
    }
    sent = {"Host": HOST, "Origin": origin}
    return client.post(CALLBACK_PATH, json=body, headers=sent)


def answer(response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 200
    found: dict[str, Any] = json.loads(response.data)["response"]["answer"]["data"]
    return found


def test_pages_are_answered(client: FlaskClient) -> None:
    found = answer(ask(client, "/e/digits/trials"))
    assert found["title"] == "Trials · digits · rcsweep"
    assert "train-p0.00-s42" in json.dumps(found["changes"])


@pytest.mark.parametrize("path", PATHS)
def test_every_route_has_the_headers(client: FlaskClient, path: str) -> None:
    response = get(client, path)
    policy = dict(
        part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"].startswith("'self' 'sha256-")
    assert "unsafe" not in policy["script-src"]
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    is_static = path.startswith(("/assets/", "/_dash-component-suites/")) and response.status_code < 400
    assert is_static or response.headers["Cache-Control"] == "no-store"


def test_inline_scripts_are_those_of_the_policy(client: FlaskClient) -> None:
    response = get(client, "/")
    inline = re.findall(r"<script(?![^>]*(?:src=|application/json))[^>]*>(.*?)</script>", response.text, re.S)
    assert inline
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in response.headers["Content-Security-Policy"]


def test_the_page_names_no_other_machine(client: FlaskClient) -> None:
    page = get(client, "/").text
    assert 'src="http' not in page
    assert 'href="http' not in page


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host", ["evil.example:8050", "localhost:9999", "localhost", "", "127.0.0.1:8050@evil"]
)
def test_foreign_hosts_are_refused(client: FlaskClient, path: str, host: str) -> None:
    assert get(client, path, host).status_code == 400


@pytest.mark.parametrize("host", ["localhost:8050", "127.0.0.1:8050", "[::1]:8050", "LOCALHOST:8050"])
def test_own_hosts_are_served(client: FlaskClient, host: str) -> None:
    assert get(client, "/", host).status_code == 200


def test_hosts_of_a_server_on_the_network() -> None:
    access = Access(host="0.0.0.0", port=80, allowed_hosts=("dash.example.org", "tunnel:9000"))
    allowed = [
        "10.0.0.5",
        "10.0.0.5:80",
        "localhost",
        "dash.example.org",
        "dash.example.org:443",
        "tunnel:9000",
    ]
    assert all(map(access.allows_host, allowed))
    refused = ["evil.example", "tunnel", "tunnel:80", "10.0.0.5:81", "x.dash.example.org", None, "a b"]
    assert not any(map(access.allows_host, refused))
    assert Access(host="lab7", port=8050).allows_host("lab7:8050")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:8051", "file://localhost:8050", ""]
)
def test_foreign_origins_are_refused(client: FlaskClient, origin: str) -> None:
    assert ask(client, "/", origin=origin).status_code == 403


def test_posts_without_origin_are_refused(client: FlaskClient) -> None:
    response = client.post(CALLBACK_PATH, json={}, headers={"Host": HOST})
    assert response.status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/download/digits/trials.csv", "/_dash-layout", "/_reload-hash"])
def test_nothing_but_reading(client: FlaskClient, method: str, path: str) -> None:
    response = client.open(path, method=method, headers={"Host": HOST, "Origin": f"http://{HOST}"})
    assert response.status_code == 405


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_nothing_is_told(guarded: FlaskClient, path: str) -> None:
    for response in (
        get(guarded, path),
        get(guarded, f"{path}?token=wrong"),
        get(guarded, f"{path}?token=\u00e9"),
        get(guarded, path, Authorization="Bearer wrong"),
        get(guarded, path, Authorization=f"Basic {TOKEN}"),
        get(guarded, path, Cookie="rcsweep_dash_8050=wrong"),
        get(guarded, path, Cookie=f"rcsweep_dash_8050={TOKEN}"),
    ):
        assert response.status_code == 401
        assert "?token=" in response.text
        assert "train-p" not in response.text
        assert TOKEN not in response.text
        assert "Set-Cookie" not in response.headers
    assert ask(guarded, "/e/digits").status_code == 401


@pytest.mark.parametrize("path", PATHS[:-2])
def test_the_bearer_is_let_in(guarded: FlaskClient, path: str) -> None:
    assert get(guarded, path, Authorization=f"Bearer {TOKEN}").status_code in (200, 304)


def test_the_token_becomes_a_cookie_and_leaves_the_address(guarded: FlaskClient) -> None:
    response = get(guarded, f"/e/digits/trials?p=0,1&token={TOKEN}&S=dense")
    assert response.status_code == 303
    assert response.headers["Location"] == "/e/digits/trials?p=0%2C1&S=dense"
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert get(guarded, "/e/digits/trials").status_code == 200  # the client kept the cookie
    assert answer(ask(guarded, "/e/digits"))["title"] == "Overview · digits · rcsweep"
    assert get(guarded, "/", "evil.example:8050").status_code == 400


def test_the_redirect_stays_here(guarded: FlaskClient) -> None:
    for path in ("//evil.example/x", "/\\evil.example"):
        response = guarded.get(path, query_string={"token": TOKEN}, headers={"Host": HOST})
        assert response.status_code == 303
        assert response.headers["Location"].startswith("/")
        assert response.headers["Location"][1:2] not in ("/", "\\")


def test_short_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="token: has 15 characters; it must have at least 16"):
        Access(host="127.0.0.1", port=8050, token="x" * 15)
    assert not Access(host="127.0.0.1", port=8050).accepts("")


def test_loopback() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "localhost", "::1", "127.9.9.9"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "example.org", ""]))


@pytest.fixture
def secret(make_sweep: MakeSweep) -> tuple[FlaskClient, str]:
    folder = make_sweep(grid=GRID)
    (folder.parent / "secret.txt").write_text("for nobody")
    (folder / "inside.txt").write_text("for nobody")
    return client_of(folder.parent, only="digits"), "for nobody"


@pytest.mark.parametrize(
    "path",
    [
        "/download/digits/..%2f..%2fsecret.txt",
        "/download/../secret.txt",
        "/download/digits/inside.txt",
        "/download/%2e%2e/secret.txt",
        "/download/digits%2f../trials.csv",
        "/assets/../app.py",
        "/assets/..%2fapp.py",
        "/assets/%2e%2e/app.py",
        "/e/digits/trial/..%2f..%2fsecret.txt",
        "/e/..%2fdigits/trials",
        "/_dash-component-suites/dash/../../../etc/passwd",
        "/_dash-component-suites/dash/deps/..%2f..%2fdash.py",
    ],
)
def test_no_path_leads_out(secret: tuple[FlaskClient, str], path: str) -> None:
    client, text = secret
    response = get(client, path)
    assert text not in response.text
    assert "def create_app" not in response.text
    assert "root:" not in response.text
    # Anything that is no file is the empty page; what it then asks for is looked up.
    assert response.status_code in (404, 500) or "react-entry-point" in response.text
    shown = json.dumps(answer(ask(client, path)))
    assert text not in shown
    assert "Not found" in shown or "No such trial" in shown


def test_other_experiments_have_no_pages_where_one_is_served(make_sweep: MakeSweep) -> None:
    folder = make_sweep(grid=GRID)
    make_sweep("other", grid=GRID)
    client = client_of(folder.parent, only="digits")
    assert "Not found" in json.dumps(answer(ask(client, "/e/other/trials")))
    assert get(client, "/download/other/trials.csv").status_code == 404
    assert answer(ask(client, "/"))["title"] == "Overview · digits · rcsweep"


def test_downloads(client: FlaskClient) -> None:
    trials = get(client, "/download/digits/trials.csv?p=1&S=dense")
    assert trials.text.splitlines()[1].startswith("train-p1.00-s42,train,done")
    assert len(trials.text.splitlines()) == 2
    assert trials.headers["Content-Disposition"] == "attachment; filename=trials.csv"
    assert trials.headers["Content-Type"] == "text/csv; charset=utf-8"
    tradeoff = get(client, "/download/digits/tradeoff.csv").text.splitlines()
    assert len(tradeoff) == 1 + 4  # p in {0, 1} x S in {dense, 0.5}
    sweep = json.loads(get(client, "/download/digits/sweep.json").text)
    assert sweep["grids"] == [GRID.to_dict()]
    assert get(client, "/download/digits/report.html").text.startswith("<!doctype html>")
    assert get(client, "/download/digits/tradeoff.csv?tradeoff.axis=no").status_code == 400
    assert get(client, "/download/digits/trials.csv?p=x").status_code == 400
    assert get(client, "/download/digits/nothing.csv").status_code == 404


def test_a_link_that_cannot_be_read_says_so(client: FlaskClient) -> None:
    shown = json.dumps(answer(ask(client, "/e/digits/trials", "?p=<script>")))
    assert "must be a number from 0 to 1" in shown
    assert "Show the page without them" in shown


def test_what_goes_wrong_is_in_the_log_alone(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(frame: object) -> str:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(overview, "headline", fail)
    shown = json.dumps(answer(ask(client, "/e/digits")))
    assert "The log of rcsweep dash says why" in shown
    assert "/secret/path" not in shown
    assert "/secret/path" in caplog.text


def test_a_second_look_sends_no_change(client: FlaskClient) -> None:
    first = answer(ask(client, "/e/digits/tradeoff"))
    assert [name for name, _ in first["changes"]] == ["brand", "nav", "problem", "pause", "page"]
    assert answer(ask(client, "/e/digits/tradeoff", shown=first["shown"]))["changes"] == []
