"""Pages run without a browser: opened on a survey, and read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from streamlit.testing.v1 import AppTest

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[1]


def opened(page: str, survey: Path, monkeypatch: pytest.MonkeyPatch, **query: str | list[str]) -> AppTest:
    """Return a page, by its name, that has run once on a survey with that query in its address."""
    monkeypatch.chdir(ROOT)  # AppTest finds pages from here, as `streamlit run app.py` does
    monkeypatch.setenv("RRS_SURVEY", f"{survey}")
    app = AppTest.from_file(f"{ROOT / 'app.py'}", default_timeout=60).run()
    for name, value in query.items():
        app.query_params[name] = value
    if page != "overview":
        app.switch_page(f"pages/{page}.py").run()
    assert not app.exception, app.exception
    return app


def sent(app: AppTest) -> str:
    """Return all text of a page, markdown as it was sent."""
    kinds = ("markdown", "caption", "error", "warning", "info", "success", "title", "subheader", "code")
    return "\n".join(f"{element.value}" for kind in kinds for element in getattr(app, kind))


def words(app: AppTest) -> str:
    """Return all text of a page as it is read: without the escapes of markdown."""
    return sent(app).replace("\\", "")


def numbers(app: AppTest) -> dict[str, str]:
    """Return what each number of a page says by its label."""
    return {metric.label: metric.value for metric in app.metric}
