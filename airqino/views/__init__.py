"""What the dashboards read beside the loads' own documents: coverage, hourly profiles, and views."""

from airqino.views.coverage import NIGHT, coverage_details
from airqino.views.definitions import VIEWS, ensure_views
from airqino.views.maps import OUTLINES
from airqino.views.profiles import ALL_STATIONS, refresh_profiles

__all__ = ["ALL_STATIONS", "NIGHT", "OUTLINES", "VIEWS", "coverage_details", "ensure_views", "refresh_profiles"]
