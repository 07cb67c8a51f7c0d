"""``python -m bayescale``."""

from bayescale.cli import main

main()
