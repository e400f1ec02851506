"""`python -m cxrlens`: the same as the command `cxrlens`."""

from cxrlens.cli.main import main

if __name__ == "__main__":
    main()
