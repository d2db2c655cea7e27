"""`python -m fare_cli`: the same as `fare`, for when the folder of installed programs is not on the path."""

from __future__ import annotations

from fare_cli.cli.main import main

main()
