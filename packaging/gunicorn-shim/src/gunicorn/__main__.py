"""`python -m gunicorn`, where nothing has imported the package yet."""

from ostler.compat.package.main import run

if __name__ == "__main__":
    run()
