"""``python -m velero_acceptance``: the command ``acceptance``."""

from velero_acceptance.cli.main import main

main()
