"""What the dashboards read beside the loads' own documents: coverage, hourly profiles, and views."""

from tasks.dashboard.coverage import NIGHT, coverage_details
from tasks.dashboard.profiles import ALL_STATIONS, refresh_profiles
from tasks.dashboard.views import INDEXES, VIEWS, ensure_views

__all__ = ["ALL_STATIONS", "INDEXES", "NIGHT", "VIEWS", "coverage_details", "ensure_views", "refresh_profiles"]
