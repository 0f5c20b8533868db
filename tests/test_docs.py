"""The guides name only files that there are. docs/architecture.md: its picture and names are those of the code."""

import ast
import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from support.deployment import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = ("tasks", "airqino")
MODULES = {path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}


def names_in(tree: ast.AST) -> Iterator[str]:
    """Whatever a module gives a name, and its strings: columns, flags, options, file names."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Constant(value=str(text)):
                yield text


NAMES = {name for module in MODULES for name in names_in(ast.parse((ROOT / module).read_text()))}
NAMES |= {module.stem for module in MODULES}
#: What a reader makes.
MADE = {"deploy/prometheus/secrets"}
#: Inline code, without blocks.
SPANS = sorted(set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))))


def is_file(path: str) -> bool:
    return (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


@pytest.mark.parametrize("span", SPANS)
def test_every_name_is_one_in_the_code(span: str) -> None:
    """A file, a name, or a command with options."""
    first, *arguments = span.split()
    if "/" in first or is_file(first):
        assert is_file(first)
        tasks = [argument for argument in arguments if re.match("[A-Z]", argument)]
        assert set(tasks) <= NAMES
    elif not arguments or first.startswith("--"):
        assert span == "|" or first.removeprefix("--").replace("-", "_") in NAMES
    else:
        pytest.fail("neither a name nor a command")
    assert {o.removeprefix("--").replace("-", "_") for o in arguments if o.startswith("--")} <= NAMES


@pytest.mark.parametrize("guide", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda path: path.name)
def test_every_file_that_a_guide_names_is_there(guide: Path) -> None:
    text = guide.read_text()
    links = {link.split("#")[0] for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text)} - {""}
    assert [link for link in links if not (guide.parent / link).exists()] == []
    anchors = {
        (guide.parent / (path or guide.name), anchor) for path, anchor in re.findall(r"\]\(([\w./-]*)#(.+?)\)", text)
    }
    assert [anchor for path, anchor in anchors if anchor not in headings(path)] == []
    # not the history: what it names may be gone
    folders = "airqino|benchmarks|dashboards|deploy|docs|scripts|tasks|tests"
    paths = set(re.findall(rf"(?:^|[\s`(])((?:{folders})/[\w./-]*\w)", text.split("\n## 0.1.0")[0], re.MULTILINE))
    assert [path for path in paths - MADE if not (ROOT / path).exists()] == []


def headings(path: Path) -> set[str]:
    """The anchors of a guide's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def picture() -> dict[str, list[list[tuple[str, list[str]]]]]:
    """Package → its layers from top to bottom → the modules and packages of each, those with what is in them."""
    (block,) = re.findall(r"```text\n(tasks/\n.*?)```", TEXT, re.DOTALL)
    packages: dict[str, list[list[tuple[str, list[str]]]]] = {}
    for line in re.sub(r"\n {16}(?=\S)", " ", block).splitlines():
        if name := re.fullmatch(r"(\w+)/", line):
            layers = packages[name[1]] = []
        elif line:
            same_layer, name, about = re.fullmatch(r"([| ]) (\w+/?) +(\S.*)", line).groups()  # type: ignore[union-attr]
            entry = name.removesuffix("/"), about.split() if name.endswith("/") else []
            layers[-1].append(entry) if same_layer == "|" else layers.append([entry])
    return packages


def test_the_picture_has_the_layers_that_are_checked() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    contracts = [dict(setup[name]) for name in setup.sections() if name.startswith("importlinter:contract:")]
    checked = {
        contract["containers"]: [set(re.split(r"\s*\|\s*", layer)) for layer in contract["layers"].split("\n") if layer]
        for contract in contracts
        if contract.get("containers") in PACKAGES
    }
    assert {p: [{name for name, _ in layer} for layer in layers] for p, layers in picture().items()} == checked


def test_the_picture_has_every_module() -> None:
    shown = [
        Path(package, name, f"{module}.py") if modules else Path(package, f"{name}.py")
        for package, layers in picture().items()
        for layer in layers
        for name, modules in layer
        for module in modules or [name]
    ]
    assert sorted(shown) == sorted(module for module in MODULES if module.name != "__init__.py")


def test_one_reading_is_followed_through_at_most_ten_files() -> None:
    section = TEXT.split("## One reading")[1].split("\n## ")[0]
    steps = re.findall(r"^\d+\. `(\S+)`:(.*?)(?=^\d+\. |\Z)", section, re.MULTILINE | re.DOTALL)
    assert 5 <= len(steps) <= 10
    defined = {f"{path}": definitions(path) for path in MODULES}
    everywhere, listed = set().union(*defined.values()), set().union(*(defined[path] for path, _ in steps))
    for path, text in steps:
        (name, *others) = re.findall(r"`(\w+)`", text)
        assert name in defined[path], path
        tasks = set(re.findall(r"[Tt]ask `(\w+)`", text))  # is but named, to know where one is
        assert {other for other in others if other in everywhere} <= listed | tasks, path


def definitions(path: Path) -> set[str]:
    body = ast.parse((ROOT / path).read_text()).body
    names = {part.name for part in body if isinstance(part, ast.ClassDef | ast.FunctionDef)}
    return {name for name in names if not name.startswith("_")}


def test_the_glossary_has_each_word_once() -> None:
    words = re.findall(r"^\| ([^|]+?) \|", TEXT.split("## Glossary")[1].split("\n## ")[0], re.MULTILINE)[2:]
    assert len(words) > 40
    assert len(words) == len({*words})
