"""The rooms import one way only, only the app knows Streamlit, and nothing dangerous is ever called."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "rrs_core"
#: Upstream first: a room may import rooms before it and itself.
ROOMS = [
    "errors", "units", "config", "access", "serving", "text", "engine", "figures", "survey", "observe", "simulate",
    "detect", "describe", "group", "prove", "ask", "evidence", "dossier", "export", "stages", "pipeline", "console",
    "cli", "__main__",
]  # fmt: skip
MODULES = sorted(CORE.rglob("*.py"))
APP = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]
HEAVY = ("numpy", "torch", "pandas", "scipy", "h5py", "numba", "plotly", "umap", "sklearn", "streamlit", "blimpy")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported_names(path: Path) -> list[str]:
    """Return the dotted name of everything that a file imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {path.relative_to(CORE).parts[0].removesuffix(".py") for path in MODULES}
    assert rooms - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_rooms_import_upstream_only(path: Path) -> None:
    room = path.relative_to(CORE).parts[0].removesuffix(".py")
    names = imported_names(path)
    assert not [name for name in names if name.split(".")[0] in ("streamlit", "pages", "tests", "benchmarks")]
    if room != "__init__":
        used = {name.split(".")[1] for name in names if name.startswith("rrs_core.")} & set(ROOMS)
        assert used <= set(ROOMS[: ROOMS.index(room) + 1]), f"{room} imports {sorted(used)}"


@pytest.mark.parametrize("path", APP, ids=named)
def test_no_page_is_imported_by_another_and_none_imports_the_command_line(path: Path) -> None:
    names = imported_names(path)
    assert not [name for name in names if name.startswith("pages.") and not name.startswith("pages.components")]
    assert not [name for name in names if name.startswith(("rrs_core.cli", "rrs_core.pipeline", "rrs_core.console"))]


def test_torch_is_imported_by_the_describing_wing_and_its_training_stage_only() -> None:
    users = {named(path) for path in MODULES if any(name.split(".")[0] == "torch" for name in imported_names(path))}
    allowed = {"rrs_core/stages/train.py", "rrs_core/stages/tune.py"}
    assert all(user.startswith("rrs_core/describe/") for user in users - allowed), users


def loaded_after(code: str) -> set[str]:
    """Return which heavy packages a fresh interpreter holds after running a line of code."""
    tail = f"import json, sys; sys.stderr.write(json.dumps([n for n in {HEAVY!r} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{tail}"], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import rrs_core; dir(rrs_core)") == set()


def test_a_public_name_is_loaded_when_it_is_first_used() -> None:
    assert "numpy" in loaded_after("import rrs_core; rrs_core.load; assert callable(rrs_core.frequency_embedding)")


def test_a_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    import rrs_core

    with pytest.raises(AttributeError, match=r"rrs_core.*nonsense"):
        _ = rrs_core.nonsense


@pytest.mark.parametrize("verb", [[], ["search"], ["build"]])
def test_help_loads_nothing_heavy(verb: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['rrs', *{verb!r}, '--help']\n"
        "from rrs_core.cli import main\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code, left.code"
    )
    assert loaded_after(code) == set()


# What a hostile file, label or cache could use against us (reliability facts, section 5: text out, parsing).


def called(node: ast.Call) -> str:
    """Return the dotted name that a call is made to, as far as it is written out."""
    parts: list[str] = []
    target: ast.expr = node.func
    while isinstance(target, ast.Attribute):
        parts.append(target.attr)
        target = target.value
    parts.append(target.id if isinstance(target, ast.Name) else "?")
    return ".".join(reversed(parts))


def keyword(node: ast.Call, name: str) -> object:
    """Return the literal value of a call's keyword, or None where it is absent or no literal."""
    for given in node.keywords:
        if given.arg == name:
            return given.value.value if isinstance(given.value, ast.Constant) else "not a literal"
    return None


def dangers(source: str, path: str) -> list[str]:
    """Return what is banned in a file, one line each."""
    found = []
    for node in ast.walk(ast.parse(source)):
        line = f"{path}:{getattr(node, 'lineno', '?')}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            roots = {(module or alias.name).split(".")[0] for alias in node.names}
            found += [f"{line} imports {name}" for name in roots & {"pickle", "joblib", "dill", "shelve", "marshal"}]
        if not isinstance(node, ast.Call):
            continue
        name = called(node)
        last = name.rsplit(".", 1)[-1]
        if last in ("eval", "exec") and name == last:
            found.append(f"{line} {name}(")
        if name.startswith("pickle.") or name in ("joblib.load", "torch.load", "yaml.load", "os.system", "os.popen"):
            found.append(f"{line} {name}(")
        if name in ("st.html", "components.v1.html", "st.components.v1.html", "components.html"):
            found.append(f"{line} {name}(")
        if name in ("np.load", "numpy.load") and keyword(node, "allow_pickle") is not False:
            found.append(f"{line} {name}( without allow_pickle=False")
        if last == "read_array" and "format" in name and keyword(node, "allow_pickle") is not False:
            found.append(f"{line} {name}( without allow_pickle=False")
        if keyword(node, "shell") not in (None, False):
            found.append(f"{line} shell=True")
        for risky in ("unsafe_allow_html", "unsafe_allow_javascript"):
            if keyword(node, risky) not in (None, False):
                found.append(f"{line} {risky}=True")
        if last == "read_pickle" or (last == "save" and keyword(node, "allow_pickle") is True):
            found.append(f"{line} {name}(")
        if last == "File" and "h5py" in name and not path.startswith("rrs_core/observe/"):
            found.append(f"{line} {name}( outside observe")
    return found


@pytest.mark.parametrize("path", [*MODULES, *APP], ids=named)
def test_nothing_dangerous_is_called(path: Path) -> None:
    assert dangers(path.read_text(encoding="utf-8"), named(path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from pickle import loads", "import joblib", "eval(text)", "exec(text)", "torch.load(path)",
        "st.html(text)", "st.markdown(text, unsafe_allow_html=True)", "np.load(path)", "np.load(p, allow_pickle=True)",
        "np.lib.format.read_array(handle)", "subprocess.run(line, shell=True)", "os.system(line)", "h5py.File(path)",
        "pd.read_pickle(path)", "yaml.load(text)", "st.markdown(text, unsafe_allow_html=allowed)",
    ],
)  # fmt: skip
def test_the_ban_sees_what_it_bans(line: str) -> None:
    assert dangers(line, "pages/x.py")


def test_the_ban_lets_harmless_calls_pass() -> None:
    harmless = "model.eval()\nnp.load(path, allow_pickle=False)\nst.markdown(text)\nsubprocess.run([a, b])"
    assert dangers(harmless, "pages/x.py") == []
    assert dangers("h5py.File(path, 'r')", "rrs_core/observe/guards.py") == []
