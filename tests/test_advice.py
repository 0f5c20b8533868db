"""Every command that a text advises is one that there is: its script, its options, and the section of a page."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from support.deployment import ROOT

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
