"""Look up each pinned version among the known vulnerabilities: audit.py CONSTRAINTS (with the Python of .venv-deploy).

pip-audit passes where its service does not know a package, also when it knows none because it cannot be reached. Here:

  0  every version was looked up, and none has a known hole that is not accepted
  1  some have
  2  some versions could not be looked up
  3  none could: no service answers
"""

import json
import subprocess
import sys

#: Known holes that do not concern us, each with the reason why. Looked at again with each upgrade.
ACCEPTED: dict[str, str] = {}


def audit(path: str, service: str) -> list[dict[str, object]]:
    """Ask one service for every version; empty when it cannot be asked."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", path, "--no-deps", "--disable-pip"]
    options = ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300)
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except ValueError:
        return []


def main() -> int:
    """Try one service after the other."""
    path = sys.argv[1]
    answers = {service: audit(path, service) for service in ("osv", "pypi")}
    found = min(answers.values(), key=lambda rows: (not rows, sum("skip_reason" in row for row in rows)))
    unknown = [row["name"] for row in found if "skip_reason" in row]
    if len(unknown) == len(found):
        print(f"   {path}: NOT AUDITED, no vulnerability service answers", file=sys.stderr)
        return 3
    holes = [
        f"{row['name']} {row['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version'}"
        for row in found
        for hole in row.get("vulns", ())
        if hole["id"] not in ACCEPTED
    ]
    for line in holes:
        print(f"   {path}: {line}", file=sys.stderr)
    if unknown:
        print(f"   {path}: not looked up: {', '.join(map(str, unknown))}", file=sys.stderr)
    print(f"   {path}: {len(found) - len(unknown)} versions looked up, {len(holes)} known holes", file=sys.stderr)
    return 1 if holes else 2 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
