"""What the public sees: a page in two languages, badges, feeds and the last hour as JSON, from the staged tables."""
