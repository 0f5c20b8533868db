"""What the public sees, as files that any web server can serve."""
