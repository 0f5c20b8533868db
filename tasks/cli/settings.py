"""airqino settings: where the settings come from, what they change, and a luigi.cfg that was edited moved out."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from luigi.configuration import LuigiConfigParser, get_config

from airqino.errors import ConfigError, StagingError
from airqino.stores import files
from tasks.cli.main import Parser
from tasks.settings import luigi_cfg
from tasks.settings.editing import differences, parsed, save
from tasks.settings.reading import origin, settings, text
from tasks.settings.secrets import redact
from tasks.settings.sections import ENVIRONMENT, OPTIONS

Settings = dict[str, dict[str, str]]


def main(argv: Sequence[str]) -> int:
    """Show the settings, or move those of an edited luigi.cfg."""
    parser = Parser(
        "airqino settings",
        description="Show which files settings were read from, each overriding those before it, and every setting that "
        "is not as the package brings it, with its place. Secrets are hidden.",
        epilog="exit codes: 0 done; 2 a setting or argument is wrong, or a file cannot be written",
    )
    move = "move what was changed in this folder's luigi.cfg into airqino.cfg, and restore luigi.cfg"
    parser.add_argument("--move-out", action="store_true", help=move)
    arguments = parser.parse_args(argv)
    if arguments.move_out:
        return _move_out(Path("luigi.cfg"))
    settings()
    for source in luigi_cfg.sources(LuigiConfigParser._config_paths):
        print(f"{'read' if source.there else 'absent':<8}{source.path.absolute()}")
    names = [name for name in ENVIRONMENT if os.environ.get(name, "").strip() and name not in luigi_cfg.FROM_FILE]
    print(f"{'read':<8}variables of this process: {', '.join(names) or 'none'}")
    for line in _changed():
        print(redact(line))
    return 0


def _changed() -> list[str]:
    """Return a line for each option that is not as the package brings it."""
    plain, config = parsed(luigi_cfg.SHIPPED), get_config()
    secret = {(option.section, option.name) for option in OPTIONS if option.secret}
    options = {(option.section, option.name) for option in OPTIONS}
    options |= {(section, option) for section in config.sections() for option in config.options(section)}
    lines = []
    for section, option in sorted(options):
        value = text(section, option)
        if not value or value == plain.get(section, {}).get(option):
            continue
        shown = "(hidden)" if (section, option) in secret else value
        variable = origin(section, option).partition(" ")[0]
        place = f"{luigi_cfg.ENV_FILE}" if variable in luigi_cfg.FROM_FILE else variable
        lines.append(f"[{section}] {option} = {shown}  ({place})")
    return lines


def _move_out(edited: Path) -> int:
    """Write what an edited luigi.cfg says otherwise into airqino.cfg, and put the package's in its place."""
    if not edited.is_file():
        raise ConfigError(f"there is no {edited.absolute()} to move settings from")
    found = differences(edited, luigi_cfg.SHIPPED)
    if not found:
        print(f"{edited.absolute()} is as the package brings it: nothing to move")
        return 0
    target = luigi_cfg.directory() / "airqino.cfg"
    if not target.parent.is_dir():
        cure = f"make it first: install -d -g airqino -m 0750 {shlex.quote(f'{target.parent}')}"
        raise ConfigError(f"there is no folder {target.parent} for airqino.cfg; {cure}")
    if target.exists():
        _refuse_others(parsed(target), found, f"{target} is there already", f"{edited.absolute()}")
    else:
        parts = (f"[{name}]\n" + "".join(f"{o} = {_joined(v)}\n" for o, v in of.items()) for name, of in found.items())
        save(target, "\n".join(parts))
    try:
        files.write(edited.resolve(), luigi_cfg.SHIPPED.read_bytes())
    except StagingError as error:
        raise StagingError(f"{error}; {target} is written: run it again as the owner of the checkout") from error
    print(f"{target} has now what was changed in {edited.absolute()}, which is again as the package brings it:\n")
    for section, options in found.items():
        print(f"[{section}] {', '.join(options)}")
    return 0


def _refuse_others(there: Settings, found: Settings, what: str, edited: str) -> None:
    """Refuse to write over a file that does not say all of it already, as after a move that was broken off."""
    missing = [
        f"[{section}] {option}"
        for section, options in found.items()
        for option, value in options.items()
        if there.get(section, {}).get(option) != value
    ]
    if missing:
        raise ConfigError(f"{what}: copy {', '.join(missing)} into it by hand; run this again, which restores {edited}")


def _joined(value: str) -> str:
    """Return an option's text as a file may have it, over several lines."""
    return value.replace("\n", "\n  ")
