"""`python -I -m meshd` is the program `meshd`: what scripts/meshd and the command line run."""

from meshd.daemon.main import main

if __name__ == "__main__":
    main()
