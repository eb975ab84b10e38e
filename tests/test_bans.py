"""What our own code may never do, read off its syntax trees (reliability.md, section 7)."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    path.relative_to(ROOT)
    for folder in ("compressor", "kernels", "recipes", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]

WRITE = "write outside of checkpoint/"
MAY_WRITE = ("compressor/checkpoint", "benchmarks")
"""The one layer that writes outputs; and programs that write their own inputs and results."""

Finder = Callable[[ast.AST], str | None]

PICKLES = {"pickle", "cPickle", "_pickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
CODE = {"eval", "exec", "compile", "__import__"}
SHELLS = {"system", "popen", "startfile", "getoutput", "getstatusoutput", "spawnl", "spawnv"}
SAVERS = {"save_pretrained", "save_file", "write_text", "write_bytes"}
SAVERS |= {"to_json_file", "savez", "savez_compressed", "savetxt", "tofile"}
WRITERS = {("torch", "save"), ("np", "save"), ("numpy", "save")}

ALLOWED = {
    ("compressor/checkpoint/read/unpickle.py", "pickle"): "names the refusal; weights_only reads",
    ("compressor/ending.py", "fdopen('w')"): "the crash file, under a name of the system's choice",
    ("compressor/stopping.py", "fdopen('w')"): "a stream to nowhere, where the caller closed one",
    ("compressor/recipe/shipped.py", "open('xb')"): "a copy of a recipe, never over another file",
}


def dotted(node: ast.AST) -> tuple[str, ...]:
    """`np.random.default_rng` as its parts; the last part alone where the rest is computed."""
    if isinstance(node, ast.Attribute):
        return (*dotted(node.value), node.attr)
    return (node.id,) if isinstance(node, ast.Name) else ()


def keyword(call: ast.Call, name: str) -> object:
    """The literal that a call passes by this name; a computed one counts as an unknown object."""
    for each in call.keywords:
        if each.arg == name:
            return each.value.value if isinstance(each.value, ast.Constant) else object()
    return None


def mode(call: ast.Call, place: int) -> object:
    """The mode that a call of `open` is given, by place or by name; reading is the default."""
    if len(call.args) > place:
        node = call.args[place]
        return node.value if isinstance(node, ast.Constant) else object()
    return keyword(call, "mode") or "r"


def reads_only(value: object) -> bool:
    return isinstance(value, str) and set(value) <= set("rbt")


def finds_pickle(node: ast.AST) -> str | None:
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    return next((name for name in names if name.split(".")[0] in PICKLES), None)


def finds_unsafe_load(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    name = dotted(node.func)
    if name[-2:] == ("torch", "load") and keyword(node, "weights_only") is not True:
        return "torch.load"
    if keyword(node, "allow_pickle") is not None and name[:1] in {("np",), ("numpy",)}:
        return "allow_pickle"
    if name[:1] == ("yaml",) and name[-1] in {"load", "load_all", "unsafe_load", "full_load"}:
        return ".".join(name)
    return None


def finds_code(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    name = dotted(node.func)
    if len(name) == 1 and name[0] in CODE:
        return name[0]
    if name[:1] in {("os",), ("subprocess",)} and name[-1] in SHELLS:
        return ".".join(name)
    if keyword(node, "shell") not in (None, False):
        return "shell"
    return None


def finds_unpinned_download(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    name = dotted(node.func)[-1:]
    if name in {("snapshot_download",), ("hf_hub_download",)} and keyword(node, "revision") is None:
        return name[0]
    return None


def finds_write(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    name = dotted(node.func)
    last = node.func.attr if isinstance(node.func, ast.Attribute) else (*name, "")[0]
    if last in SAVERS:
        return last
    if name[-2:] in WRITERS:
        return ".".join(name[-2:])
    is_method = isinstance(node.func, ast.Attribute) and name not in {
        ("io", "open"),
        ("os", "fdopen"),
    }
    if last in {"open", "fdopen"} and name != ("os", "open"):
        given = mode(node, 0 if is_method else 1)
        return None if reads_only(given) else f"{last}({given!r})"
    return None


def findings(finder: Finder, text: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if (found := finder(node)) is not None:
            yield node.lineno, found  # type: ignore[attr-defined]  # statements and calls have one


FINDERS: dict[str, Finder] = {
    "pickle": finds_pickle,
    "unsafe load": finds_unsafe_load,
    "code from text": finds_code,
    "unpinned download": finds_unpinned_download,
    WRITE: finds_write,
}


@pytest.mark.parametrize("ban", FINDERS)
def test_our_code_does_nothing_that_is_banned(ban: str) -> None:
    found = [
        f"{path}:{line}: {what}"
        for path in SOURCES
        if not (ban == WRITE and any(path.is_relative_to(folder) for folder in MAY_WRITE))
        for line, what in findings(FINDERS[ban], (ROOT / path).read_text())
        if (path.as_posix(), what) not in ALLOWED
    ]

    assert found == []
    assert len(SOURCES) > 50


def test_what_is_allowed_is_still_there() -> None:
    found = {
        (path.as_posix(), what)
        for path in SOURCES
        for finder in FINDERS.values()
        for _, what in findings(finder, (ROOT / path).read_text())
    }

    assert set(ALLOWED) <= found


@pytest.mark.parametrize(
    ("ban", "line"),
    [
        ("pickle", "import pickle"),
        ("pickle", "import os, joblib as tool"),
        ("pickle", "from dill.source import x"),
        ("unsafe load", "torch.load(path)"),
        ("unsafe load", "torch.load(path, weights_only=False)"),
        ("unsafe load", "torch.load(path, weights_only=flag)"),
        ("unsafe load", "np.load(path, allow_pickle=True)"),
        ("unsafe load", "yaml.load(text, Loader=yaml.Loader)"),
        ("code from text", "eval(text)"),
        ("code from text", "exec(compile(text, '', 'exec'))"),
        ("code from text", "subprocess.run(text, shell=True)"),
        ("code from text", "os.system(text)"),
        ("unpinned download", "snapshot_download(name)"),
        ("unpinned download", "hub.snapshot_download(name, revision=None)"),
        (WRITE, "open(path, 'w')"),
        (WRITE, "open(path, mode='ab')"),
        (WRITE, "open(path, how)"),
        (WRITE, "path.open('w')"),
        (WRITE, "folder().open('x')"),
        (WRITE, "(a / b).write_text(text)"),
        (WRITE, "model.save_pretrained(path)"),
        (WRITE, "save_file(tensors, path)"),
        (WRITE, "torch.save(x, path)"),
        (WRITE, "os.fdopen(number, 'w')"),
    ],
)
def test_each_ban_finds_what_it_bans(ban: str, line: str) -> None:
    assert list(findings(FINDERS[ban], line))


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, weights_only=True)",
        "re.compile(text)",
        "yaml.safe_dump(data)",
        "open(path)",
        "path.open('rb')",
        "os.open(path, flags)",
        "snapshot_download(name, revision=commit)",
        "subprocess.run(command)",
        "json.load(file)",
    ],
)
def test_no_ban_finds_what_is_harmless(line: str) -> None:
    assert [found for finder in FINDERS.values() for found in findings(finder, line)] == []
