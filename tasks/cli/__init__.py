"""The commands that people and cron run: a module each, found by `tasks.cli.main`."""
