"""Who may do what in Superset: an admin, and a viewer who can look and nothing else.

Superset's export does not hold roles, so they are set here, each time anew: a right that is not listed is taken away.
"""

from typing import Any

__all__ = ["VIEWER", "ensure_user", "ensure_viewer_role"]

VIEWER = "Viewer"

#: What a dashboard asks of the server when it opens. No write, no SQL Lab, no list of users, no export.
_RIGHTS = (
    ("can_read", "Dashboard"),
    ("can_read", "Chart"),
    ("can_read", "Dataset"),
    ("can_read", "CurrentUserRestApi"),
    # The token against forged requests.
    ("can_read", "SecurityRestApi"),
    ("can_dashboard", "Superset"),
    ("can_slice", "Superset"),
    ("can_log", "Superset"),
    ("can_get_embedded", "Dashboard"),
    ("can_time_range", "Api"),
    ("can_query_form_data", "Api"),
    ("can_query", "Api"),
    ("can_read", "AdvancedDataType"),
    # The state of the filters in one's own session, not of the dashboard.
    ("can_read", "DashboardFilterStateRestApi"),
    ("can_write", "DashboardFilterStateRestApi"),
    ("can_read", "ExploreFormDataRestApi"),
    ("can_recent_activity", "Log"),
    ("menu_access", "Dashboards"),
    ("menu_access", "Home"),
    ("can_userinfo", "UserDBModelView"),
    ("resetmypassword", "UserDBModelView"),
    ("can_this_form_get", "ResetMyPasswordView"),
    ("can_this_form_post", "ResetMyPasswordView"),
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
