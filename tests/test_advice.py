"""Every command that a text advises is one that there is: its script, options, arguments, and the section of a page."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from support.deployment import ROOT

import tasks
from airqino.errors import ConfigError
from airqino.times import parse_month, parse_span

SOURCES = sorted([*ROOT.glob("tasks/**/*.py"), *ROOT.glob("airqino/**/*.py"), ROOT / "luigi.cfg"])
COMMAND = re.compile(r"scripts/([a-z-]+)((?:[ ](?:--?[a-z-]+))*)")
PAGE = re.compile(r"docs/([a-z-]+\.md)(?:, (?:section )?\"?([A-Za-z][a-z_ ]+)\b(?!\{))?")


def commands() -> list[tuple[str, str, str]]:
    """Where a command is named, its script, and its options."""
    found = set()
    for path in SOURCES:
        for script, options in COMMAND.findall(path.read_text()):
            found.add((f"{path.relative_to(ROOT)}", script, options.strip()))
    return sorted(found)


@cache
def help_of(script: str) -> str:
    done = subprocess.run([ROOT / "scripts" / script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


#: For what a text fills in: a moment is written as it will be, of all else only the place is known.
SAMPLE, FILLED = datetime(2024, 3, 2, 10, tzinfo=UTC), "…"
#: What ends a command in a text.
END = re.compile(r"[`;,()|\n]|(?<!\.)[.:](?=\s|$)")
#: How a sentence goes on after a command: scripts/hourly makes them again.
GOES_ON = re.compile(r"[a-z]{2,}s|then|and|in")


def is_read_by(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ConfigError:
        return False
    return True


def is_span(text: str) -> bool:
    return is_read_by(lambda text: parse_span(text, SAMPLE), text)


#: Script → what its arguments have to be, one after the other; the others take none.
ARGUMENTS: Mapping[str, tuple[Callable[[str], bool], ...]] = {
    "backfill": (is_span, is_span),
    "export": (is_span,),
    "report": (lambda text: is_read_by(parse_month, text),),
    "rerun": (lambda text: text in tasks.__all__,),
    "install": (lambda text: text in help_of("install"),) * 5,
    **{
        script: (lambda text, script=script: is_choice(script, text), lambda text: text.isupper())
        for script in ("models", "alerts", "note")
    },
}


def is_choice(script: str, text: str) -> bool:
    """Whether a script's help names it as one of what the script does."""
    return text.islower() and re.search(rf"(?:^ +|\|){re.escape(text)}\b", help_of(script), re.MULTILINE) is not None


def fault(script: str, after: str) -> str:
    """What a shell would not take of a command; empty if it is one that can be pasted."""
    due = list(ARGUMENTS.get(script, ()))
    words = END.split(after)[0].split() if after.startswith(" ") else []
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            if re.search(rf"{word} [A-Z]", help_of(script)) or word in ("--day", "--hour"):
                value = words.pop(0) if words else ""
                if not value or (word in ("--day", "--hour") and value != FILLED and not is_span(value)):
                    return f"{word} {value}"
        elif due and (word == FILLED or due[0](word)):
            due.pop(0)
        else:
            return "" if GOES_ON.fullmatch(word) else word
    return ""


def texts(path: Path) -> Iterator[str]:
    """The texts of a module but its docstrings, with what is filled in."""
    tree = ast.parse(path.read_text())
    apart = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    apart |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in apart:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(map(filled, node.values))


def filled(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return f"{part.value}"
    written = ast.unparse(part)
    if form := re.search(r":(%[^}]+)\}", written):
        return f"{SAMPLE:{form[1]}}"
    return f"{SAMPLE:%Y-%m-%dT%H}" if "format_hour(" in written else FILLED


def test_each_advised_command_can_be_pasted() -> None:
    wrong = [
        (f"{path.relative_to(ROOT)}", f"scripts/{found[1]}", what)
        for path in sorted([*ROOT.glob("tasks/**/*.py"), *ROOT.glob("airqino/**/*.py")])
        for text in texts(path)
        for found in re.finditer(r"scripts/([a-z-]+)", text)
        if (what := fault(found[1], text[found.end() :]))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("backfill the past", "the"),
        ("backfill 2024-13..", "2024-13.."),
        ("backfill 2024-03-02T00 2024-03-02T10 --again", ""),
        ("backfill brings what is missing", ""),
        ("hourly 2024-03", "2024-03"),
        ("rerun LoadDays --day 2024-03-02", "LoadDays"),
        ("rerun LoadDay --day 2024-03-32", "--day 2024-03-32"),
        ("models revert", "revert"),
        ("models list, then more", ""),
    ],
)
def test_what_no_shell_would_take_is_found(command: str, what: str) -> None:
    script, space, rest = command.partition(" ")
    assert fault(script, space + rest) == what


def test_a_text_calls_a_command_by_its_script() -> None:
    """The command `airqino` is on nobody's path."""
    wrong = [
        (f"{path.relative_to(ROOT)}", text)
        for path in sorted([*ROOT.glob("tasks/**/*.py"), *ROOT.glob("airqino/**/*.py")])
        for text in texts(path)
        if re.search(r"(?:\brun |: |`)airqino [a-z]", text)
    ]
    assert wrong == []


@pytest.mark.parametrize("script", sorted({script for _, script, _ in commands()}))
def test_the_script_is_there_and_explains_itself(script: str) -> None:
    assert (ROOT / "scripts" / script).is_file(), [where for where, of, _ in commands() if of == script]
    assert "usage" in help_of(script) or f"scripts/{script}" in help_of(script)


def test_each_option_is_one_of_its_script() -> None:
    wrong = [
        (where, script, option)
        for where, script, options in commands()
        for option in options.split()
        if option not in help_of(script)
    ]
    assert wrong == []


def test_each_page_that_a_text_names_is_there_with_its_section() -> None:
    wrong = []
    for path in SOURCES:
        for page, section in PAGE.findall(path.read_text()):
            file = ROOT / "docs" / page
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if file.is_file() else []
            if not file.is_file() or (
                section.strip() not in ("", "section") and not any(section.strip() in heading for heading in headings)
            ):
                wrong.append((path.name, page, section))
    assert wrong == []


def test_the_pages_of_the_docs_are_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = {path.name for path in Path(ROOT / "docs").glob("*.md")}
    assert {page for page in pages if f"docs/{page}" not in readme} == set()
