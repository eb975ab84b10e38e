"""`python -m compressor` and the `compressor` command."""

from compressor.cli import main

if __name__ == "__main__":
    main()
