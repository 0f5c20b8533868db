"""Who may do what in Superset: an admin, a viewer who can look and nothing else, and everybody where that is wanted.

Superset's export does not hold roles, so they are set here, each time anew: a right that is not listed is taken away.
"""

from typing import Any

from anonymous import annotation_charts
from slugs import DASHBOARDS, PUBLIC

__all__ = ["VIEWER", "ensure_public_role", "ensure_user", "ensure_viewer_role", "share_dashboards"]

VIEWER = "Viewer"

#: What a dashboard asks of the server when it opens, and a reader of it by its menus.
_READING = (
    # The page itself.
    ("can_dashboard", "Superset"),
    # The dashboard, its charts' settings and its datasets' columns.
    ("can_read", "Dashboard"),
    # The charts' data.
    ("can_read", "Chart"),
    # What a relative period means today.
    ("can_time_range", "Api"),
    # Which filters were chosen, for a reload of the page: kept in the cache for a week, not in the dashboard.
    ("can_read", "DashboardFilterStateRestApi"),
    ("can_write", "DashboardFilterStateRestApi"),
    # Download a chart's data as CSV or Excel.
    ("can_csv", "Superset"),
)
_RIGHTS = (
    *_READING,
    # The page reports what was opened; without the right each report is an error in the browser's log. Not for readers
    # who have not logged in: nobody fills the log from outside.
    ("can_log", "Superset"),
    # The list of dashboards, by the menu.
    ("menu_access", "Dashboards"),
    # The page asks for it when it comes back to the front, to see whether one is still logged in.
    ("can_read", "CurrentUserRestApi"),
    # The token against forged requests.
    ("can_read", "SecurityRestApi"),
    # Drill to detail: the menu's entry, a chart's columns, and the rows behind what is drawn.
    ("can_drill", "Dashboard"),
    ("can_get_drill_info", "Dataset"),
    ("can_samples", "Datasource"),
    # A chart's data as a table, by its menu.
    ("can_view_chart_as_table", "Dashboard"),
)


def ensure_viewer_role(security_manager: Any, databases: list[Any]) -> Any:
    """Give the viewer's role exactly its rights: look at dashboards on these databases.

    Args:
        security_manager: Superset's.
        databases: The databases of the bundle.

    Returns:
        The role.
    """
    role = security_manager.add_role(VIEWER) or security_manager.find_role(VIEWER)
    rights = [security_manager.find_permission_view_menu(*right) for right in _RIGHTS]
    rights += [security_manager.add_permission_view_menu("database_access", database.perm) for database in databases]
    role.permissions = [right for right in rights if right is not None]
    security_manager.session.commit()
    return role


def ensure_public_role(security_manager: Any, anonymous: bool) -> Any:
    """Give readers who have not logged in the rights to read a dashboard, or take all away.

    Which dashboards and what of their data: `share_dashboards` and `anonymous.SecurityManager`. The only datasets of
    theirs are those of charts that are drawn into others, which Superset asks for by themselves.

    Args:
        security_manager: Superset's.
        anonymous: Whether they are to read.

    Returns:
        The role.
    """
    role = security_manager.add_role("Public") or security_manager.find_role("Public")
    rights = [security_manager.find_permission_view_menu(*right) for right in _READING] if anonymous else []
    if anonymous:
        drawn = {chart.datasource.perm for chart in annotation_charts(security_manager.session)}
        rights += [security_manager.add_permission_view_menu("datasource_access", perm) for perm in sorted(drawn)]
    role.permissions = [right for right in rights if right is not None]
    security_manager.session.commit()
    return role


def share_dashboards(security_manager: Any, viewer: Any, public: Any, anonymous: bool) -> None:
    """Open the dashboards to roles; where nobody reads without logging in, to none: then datasets decide.

    Args:
        security_manager: Superset's.
        viewer: The viewer's role.
        public: The role of readers who have not logged in.
        anonymous: Whether they are to read the dashboards of `slugs.PUBLIC`.
    """
    from superset.models.dashboard import Dashboard

    for dashboard in security_manager.session.query(Dashboard):
        ours = [viewer, public] if dashboard.slug in PUBLIC else [viewer]
        if dashboard.slug in DASHBOARDS and anonymous:
            dashboard.roles = ours
        else:
            dashboard.roles = [] if dashboard.slug in DASHBOARDS else [r for r in dashboard.roles if r != public]
    security_manager.session.commit()


def ensure_user(security_manager: Any, name: str, role: Any, password: str | None, spare: str) -> str | None:
    """Make a user, or give an existing one the role and, where named, the password.

    Args:
        security_manager: Superset's.
        name: User name.
        role: The only role of the user.
        password: From the environment; None where it names none.
        spare: Password of a new user where `password` is None.

    Returns:
        `spare` where it was used: it is to be shown, once.
    """
    user = security_manager.find_user(username=name)
    if user is None:
        security_manager.add_user(name, name.title(), "Air quality", f"{name}@localhost", role, password or spare)
        return None if password else spare
    user.roles = [role]
    security_manager.update_user(user)
    if password:
        security_manager.reset_password(user.id, password)
    return None
