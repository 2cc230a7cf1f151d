"""``python -m metanode``: the command line."""

from metanode.cli.main import main

if __name__ == "__main__":
    main()
