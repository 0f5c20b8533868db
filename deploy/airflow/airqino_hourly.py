"""The hourly run as an Airflow 3 DAG, for those who have Airflow: it calls the same command as cron does.

Put it into the DAG folder of a worker that has the repository at AIRQINO_HOME (default /srv/airqino). The settings come
from the worker's environment, or from the file that AIRQINO_ENV names (default /etc/airqino/airqino.env).

AIRQINO_MAIL (addresses, comma-separated; empty: nobody) gets a mail for each retry and for the failure after the last,
through Airflow's connection `smtp_default`, whose from_email is the sender.
"""

import os
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable

HOME = os.environ.get("AIRQINO_HOME", "/srv/airqino")
ENV = os.environ.get("AIRQINO_ENV", "/etc/airqino/airqino.env")
MAIL = [address.strip() for address in os.environ.get("AIRQINO_MAIL", "").split(",") if address.strip()]


def mail(what: str) -> list[object]:
    """Tell MAIL what became of the hour."""
    if not MAIL:
        return []
    # of apache-airflow-providers-smtp, which nobody else needs
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    hour = "{{ data_interval_start.strftime('%Y-%m-%dT%H') }}"
    text = "<p>Try {{ ti.try_number }} of {{ ti.max_tries + 1 }}: {{ exception }}</p><a href='{{ ti.log_url }}'>log</a>"
    return [SmtpNotifier(to=MAIL, subject=f"[AirQino] the hour {hour} {what}", html_content=text)]


with DAG(
    "airqino_hourly",
    description="Fetch, average, load and forecast the hour that is over",
    # An interval of an hour that ends five minutes past: what it began in is the hour to fetch.
    schedule=CronDataIntervalTimetable("5 * * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),  # noqa: UP017 - Airflow runs on Python 3.10 too
    catchup=True,  # after an outage every hour gets its run, and so its forecast
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3),
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(minutes=50),
        "on_failure_callback": mail("failed"),
        "on_retry_callback": mail("failed and is tried again"),
    },
    tags=["airqino"],
    doc_md=__doc__,
):
    BashOperator(
        task_id="hourly",
        bash_command=f'set -a; [ ! -e "{ENV}" ] || . "{ENV}"; set +a; '
        "exec scripts/hourly --hour {{ data_interval_start.strftime('%Y-%m-%dT%H') }}",
        cwd=HOME,
        append_env=True,
        skip_on_exit_code=10,  # another run is under way: it, or the next, does this hour
    )
