"""`python -m livestyle`."""

from livestyle.cli import main

if __name__ == "__main__":
    main()
