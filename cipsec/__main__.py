"""`python -m cipsec`: the same as the command `cipsec`."""

from cipsec._cli import run

if __name__ == "__main__":
    run()
