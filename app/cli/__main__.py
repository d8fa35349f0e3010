"""`python -m app.cli`, the same as `batchgate`."""

from app.cli import main

main()
