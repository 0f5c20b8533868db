"""The commands that people and cron run; each has a short script of the same name in scripts/."""
