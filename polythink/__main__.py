"""`python -m polythink` is the `polythink` command."""

from polythink.cli.main import app

app()
