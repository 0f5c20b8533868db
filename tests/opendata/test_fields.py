"""docs/open-data.md has every column of the open data, with its type and meaning; OpenAQ's names are among them."""

import re

from support.deployment import ROOT

from airqino.opendata.fields import PARAMETERS, TABLES
from airqino.readings import NAMES


def test_the_guide_has_the_columns_of_each_table() -> None:
    text = (ROOT / "docs" / "open-data.md").read_text()
    sections = re.split(r"^## Columns of (\w+)\n", text, flags=re.MULTILINE)[1:]
    told = dict(zip(sections[::2], sections[1::2], strict=True))
    assert list(told) == list(TABLES)
    for name, table in TABLES.items():
        rows = re.findall(r"^\| (\w+) \| (\w+) \| (.+) \|$", told[name], re.MULTILINE)[1:]
        assert rows == [(field.name, field.kind, field.about) for field in table.fields]
        assert told[name].strip().startswith(table.about)
        assert [key for key in table.key if key not in {field.name for field in table.fields}] == []


def test_readings_bear_the_names_that_openaq_gives_them() -> None:
    assert {name for name in NAMES if name not in PARAMETERS} == {"t_int"}  # raw counts
    assert PARAMETERS["pm2_5"] == "pm25"
    assert len({*PARAMETERS.values()}) == len(PARAMETERS)
    names = [field.name for field in TABLES["hourly"].fields]
    assert [
        n for n in ("location", "parameter", "value", "unit", "datetimeUtc", "datetimeLocal") if n not in names
    ] == []
