"""Sign-in in a real Chromium, at a real OpenID Connect provider: who gets in, as what, and who does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from browser import LONG_MS, Watch, settled
from make_survey import make_survey
from sharing import ROLES, WEBSOCKET, ask, provider, session, shared, upload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser
DOOR = "This survey is shared with people who sign in."
SECRET = "HIP4436"  #: a name of the survey's
PAGES = ("", "map", "hits", "clusters", "events", "features", "lookalikes?hit=1", "latents", "recovery", "nonsense")


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("roles") / "roles.toml"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, roles: Path) -> Iterator[str]:
    roles.write_text(ROLES)
    folder = tmp_path_factory.mktemp("shared")
    survey = make_survey(folder / "survey", n_hits=20)
    with provider(folder / "provider.log") as at, shared(survey, folder, "--roles", f"{roles}", provider=at) as url:
        yield url


@pytest.fixture(autouse=True)
def everybody(roles: Path, address: str) -> None:
    """Let every test find the roles as they were."""
    roles.write_text(ROLES)


def only_here(page: Page) -> None:
    """Let the provider's own page fetch nothing from elsewhere."""

    def go(route: Route) -> None:
        here = route.request.url.startswith(("http://127.0.0.1:", "http://localhost:", "data:", "blob:"))
        route.continue_() if here else route.abort()

    page.route("**/*", go)


def enter(page: Page, address: str, name: str, at: str = "") -> None:
    """Open a page's address, press the button, and sign in at the provider as somebody."""
    only_here(page)
    page.goto(f"{address}/{at}")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_url(f"{address}/**")


def is_shut(page: Page) -> bool:
    """Tell whether nothing of the survey is shown: no name, no menu, no picture, no input, and one button at most."""
    text = page.locator("body").inner_text()
    inside = ".st-key-menu, [data-testid=stMetric], canvas, .js-plotly-plot, input, table"
    return SECRET not in text and "hits" not in text and page.locator(inside).count() == 0


@pytest.mark.parametrize("at", PAGES)
def test_a_page_whose_address_was_copied_shows_the_door_and_nothing_else(at: str, page: Page, address: str) -> None:
    watch = Watch(page)
    page.goto(f"{address}/{at}")
    page.get_by_text(DOOR).wait_for()
    settled(page)
    assert is_shut(page)
    assert page.get_by_test_id("stMain").get_by_role("button").count() == 1
    watch.errors = [error for error in watch.errors if at != "nonsense" or "does not seem to exist" not in error]
    assert watch.is_clean()


def test_a_viewer_looks_and_finds_nothing_to_change(page: Page, address: str) -> None:
    enter(page, address, "eve")
    page.get_by_text("Signed in as eve@observatory.example, viewer").wait_for()
    page.get_by_text(SECRET).first.wait_for(state="attached")
    watch = Watch(page)
    page.goto(f"{address}/recovery?view=New+campaign")
    page.get_by_text("Only an admin starts").wait_for()
    settled(page)
    assert page.get_by_role("button", name="Start").count() == 0
    page.goto(f"{address}/hits")
    page.locator("canvas").first.wait_for()
    assert watch.is_clean()


def test_an_admin_is_offered_a_campaign_and_a_labeller_is_not(browser: Browser, address: str) -> None:
    for name, role, offers in (("ada", "admin", 1), ("lab", "labeller", 0)):
        context = browser.new_context()
        context.set_default_timeout(LONG_MS)
        page = context.new_page()
        enter(page, address, name)
        page.get_by_text(f"Signed in as {name}@observatory.example, {role}").wait_for()
        page.goto(f"{address}/recovery?view=New+campaign")
        page.get_by_text("Start" if offers else "Only an admin starts").first.wait_for()
        settled(page)
        assert page.get_by_role("button", name="Start").count() == offers
        context.close()


@pytest.mark.parametrize(("name", "code"), [("mallory", "NO_ACCESS"), ("new", "UNVERIFIED")])
def test_whoever_may_not_is_told_so_in_words_and_can_leave(name: str, code: str, page: Page, address: str) -> None:
    enter(page, address, name)
    page.get_by_text(code).wait_for()
    assert is_shut(page)
    page.goto(f"{address}/map")
    page.get_by_text(code).wait_for()
    assert is_shut(page)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/oauth2/end_session**")  # the provider is left too
    page.goto(address)
    page.get_by_text(DOOR).wait_for()


def test_whoever_is_taken_out_of_the_roles_is_out_at_the_next_click(page: Page, address: str, roles: Path) -> None:
    enter(page, address, "lab", at="lookalikes")
    page.locator(".st-key-menu").get_by_role("link", name="Lookalikes").click()
    page.get_by_text("Frequency", exact=True).wait_for()
    settled(page)
    roles.write_text(ROLES.replace("lab@", "other@"))
    page.get_by_text("Frequency", exact=True).click()
    page.get_by_text("NO_ACCESS").wait_for()
    settled(page)
    assert is_shut(page)


def test_a_sign_in_that_has_become_old_must_be_made_anew(page: Page, address: str, roles: Path) -> None:
    enter(page, address, "eve")
    page.get_by_text("Signed in as").wait_for()
    roles.write_text("max_age_hours = 0.0001\n" + ROLES)
    page.reload()
    page.get_by_text("please sign in again").wait_for()
    assert is_shut(page)
    roles.write_text(ROLES)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="eve", exact=True).click()
    page.get_by_text("Signed in as eve").wait_for()


def test_a_cookie_that_was_made_up_signs_nobody_in(page: Page, address: str) -> None:
    forged = '{"email": "ada@observatory.example", "email_verified": true, "is_logged_in": true, "iat": 9999999999}'
    page.context.add_cookies([{"name": "_streamlit_user", "value": forged.replace('"', "%22"), "url": address}])
    page.goto(f"{address}/map")
    page.get_by_text(DOOR).wait_for()
    assert is_shut(page)


#: What a browser that has not signed in is told by the dashboard itself, without a proxy: the table of docs/sharing.md.
BESIDE_THE_PAGES = {
    "/": 200,
    "/map": 200,
    "/_stcore/health": 200,
    "/_stcore/host-config": 200,
    "/_stcore/stream": 101,
    "/_stcore/metrics": 200,
    "/_stcore/script-health-check": 200,
    "/_stcore/agent/mcp": 405,
    "/media/0.npy": 404,
    "/app/static/points.bin": 200,
}
#: Streamlit's page without anything in it, which its own code fills over the websocket.
EMPTY_PAGE = ("/", "/map", "/_stcore/script-health-check", "/app/static/points.bin")


@pytest.mark.parametrize("path", BESIDE_THE_PAGES)
def test_what_the_dashboard_answers_without_a_proxy(path: str, address: str) -> None:
    answer = ask(address, path, **(WEBSOCKET if path == "/_stcore/stream" else {}))
    assert answer.status == BESIDE_THE_PAGES[path]
    assert SECRET.encode() not in answer.body
    assert (b"<html" in answer.body) == (path in EMPTY_PAGE)
    if "agent" in path:
        assert ask(address, path, method="POST", Content_Length="0").status == 400  # "not available"


def test_a_session_without_sign_in_is_sent_the_door_and_nothing_else(address: str) -> None:
    with session(address) as (_, told):
        assert DOOR in told
        assert SECRET not in told
        assert "observatory" not in told


def test_an_upload_without_sign_in_is_taken_into_memory_by_streamlit_itself(address: str) -> None:
    """What docs/sharing.md says must be stopped by a proxy; where Streamlit comes to refuse it, say so there."""
    assert upload(address, token=False) == 403
    assert upload(address) == 204
