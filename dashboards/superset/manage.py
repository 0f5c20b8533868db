"""What `scripts/superset` runs inside Superset's own environment.

manage.py up       bring Superset's database up to date, make users and roles, import the bundle
manage.py import   import the bundles (objects already there are overwritten, none is doubled)
manage.py export   tell what was changed in the browser
"""

import contextlib
import logging
import os
import secrets
import sys
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import bundle  # noqa: E402
import roles  # noqa: E402


def _stations() -> list[str]:
    """Return the stations' names, as MongoDB holds them now."""
    from superset_config import stations_by_name

    return list(stations_by_name())


def _as_admin() -> None:
    """Superset's commands ask who runs them."""
    from flask import g
    from superset import security_manager

    g.user = security_manager.find_user(username="admin")


def _import() -> None:
    _as_admin()
    for kept in bundle.import_bundles(_stations()):
        print(f"{kept} of a former version stays: something of your own uses it")
    _share()
    print(f"imported {bundle.count()} objects from dashboards/superset/source")


def _share() -> None:
    """Give the viewer, and everybody where that is wanted, their rights on what was imported."""
    from superset import security_manager
    from superset.extensions import db
    from superset.models.core import Database
    from superset_config import ANONYMOUS

    databases = db.session.query(Database).filter_by(database_name="MongoDB").all()
    viewer = roles.ensure_viewer_role(security_manager, databases)
    public = roles.ensure_public_role(security_manager, ANONYMOUS)
    roles.share_dashboards(security_manager, viewer, public, ANONYMOUS)
    shown = roles.ensure_user(
        security_manager, "viewer", viewer, os.environ.get("SUPERSET_VIEWER_PASSWORD"), secrets.token_urlsafe(12)
    )
    if shown:
        print(f"viewer's password (shown once): {shown}")


def _up() -> None:
    import flask_migrate
    from superset import appbuilder, security_manager

    with contextlib.redirect_stdout(sys.stderr):  # the migrations print what they did
        flask_migrate.upgrade()
    appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    shown = roles.ensure_user(
        security_manager,
        "admin",
        security_manager.find_role("Admin"),
        os.environ.get("SUPERSET_ADMIN_PASSWORD"),
        secrets.token_urlsafe(12),
    )
    if shown:
        print(f"admin's password (shown once): {shown}")
    _import()


def _export() -> None:
    _as_admin()
    changed = bundle.changes(_stations())
    print("\n".join(changed) if changed else "no change")


def main() -> None:
    """Run the command named on the command line."""
    from superset.app import create_app

    commands = {"up": _up, "import": _import, "export": _export}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        raise SystemExit(__doc__)
    with create_app().app_context():
        commands[sys.argv[1]]()


if __name__ == "__main__":
    main()
