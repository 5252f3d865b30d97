"""`python -I -m cli` is the program `mesh`: what scripts/mesh runs."""

from cli.main import main

if __name__ == "__main__":
    main()
