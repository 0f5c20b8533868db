"""CITATION.cff and LICENSE: the version is the package's, and the licence is named alike everywhere."""

from configparser import ConfigParser

import yaml
from support.deployment import ROOT


def test_the_citation_is_of_this_version_and_licence() -> None:
    """Checked against the schema of the Citation File Format once; these are the fields that it requires and ours."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == setup["metadata"]["version"]
    assert citation["license"] == setup["metadata"]["license"] == "MIT"
    (author,) = citation["authors"]
    assert f"Copyright (c) 2026 {author['name']}\n" in (ROOT / "LICENSE").read_text()
    released = f"## {citation['version']} – {citation['date-released']}\n"
    assert released in (ROOT / "CHANGELOG.md").read_text()
