"""The guest book of an inn: a small real Flask application that shows what a server has to carry.

A page, a form that posts, an upload, a streamed download and a health check. Guests are kept in SQLite, because
two workers are two processes and share no variables. GUESTBOOK_DB says where the file is (default: instance/).
"""

import csv
import hashlib
import io
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from flask import Flask, Response, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

app = Flask(__name__)
app.secret_key = os.environ.get("GUESTBOOK_SECRET", "only-for-the-example")
app.config["MAX_CONTENT_LENGTH"] = 100 * 1024 * 1024
DATABASE = Path(os.environ.get("GUESTBOOK_DB") or Path(app.instance_path) / "guestbook.sqlite3")
BLOCK_BYTES = 64 * 1024


def connect() -> sqlite3.Connection:
    """Open the guest book; the first call makes it."""
    DATABASE.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(DATABASE, timeout=10)
    connection.row_factory = sqlite3.Row
    connection.execute(
        "CREATE TABLE IF NOT EXISTS guest (id INTEGER PRIMARY KEY, name TEXT, horse TEXT, nights INTEGER)"
    )
    return connection


@app.get("/")
def index() -> str:
    """The page: who is here tonight."""
    with closing(connect()) as book:
        guests = book.execute("SELECT * FROM guest ORDER BY id DESC LIMIT 20").fetchall()
        count = book.execute("SELECT count(*) FROM guest").fetchone()[0]
    return render_template("index.html", guests=guests, count=count, pid=os.getpid())


@app.post("/guests")
def add_guest() -> WerkzeugResponse:
    """The form: write a guest into the book."""
    name = request.form.get("name", "").strip()
    horse = request.form.get("horse", "").strip()
    nights = request.form.get("nights", "1").strip()
    if not name or not nights.isdecimal() or not 1 <= int(nights) <= 365:
        flash("A guest needs a name, and stays between 1 and 365 nights.")
        return redirect(url_for("index"))
    with closing(connect()) as book, book:
        book.execute("INSERT INTO guest (name, horse, nights) VALUES (?, ?, ?)", (name, horse, int(nights)))
    flash(f"Welcome, {name}!")
    return redirect(url_for("index"))


@app.post("/upload")
def upload() -> str | WerkzeugResponse:
    """The upload: tell the size and the SHA-256 of the file, and keep nothing."""
    file = request.files.get("file")
    if file is None or not file.filename:
        flash("Choose a file first.")
        return redirect(url_for("index"))
    digest = hashlib.sha256()
    size = 0
    while block := file.stream.read(BLOCK_BYTES):
        digest.update(block)
        size += len(block)
    return render_template("upload.html", name=file.filename, size=size, sha256=digest.hexdigest())


@app.get("/ledger.csv")
def ledger() -> Response:
    """The streamed download: the invented ledger of many years, made line by line while it is sent."""
    lines = request.args.get("lines", default=20_000, type=int)

    def rows() -> Iterator[str]:
        block = io.StringIO()
        writer = csv.writer(block)
        writer.writerow(["night", "guests", "oats_kg"])
        for night in range(1, lines + 1):
            writer.writerow([night, night * 7 % 23, night * 13 % 40])
            if block.tell() > BLOCK_BYTES or night == lines:
                yield block.getvalue()
                block.seek(0)
                block.truncate()

    return Response(rows(), mimetype="text/csv", headers={"Content-Disposition": "attachment; filename=ledger.csv"})


@app.get("/health")
def health() -> dict[str, object]:
    """For a load balancer: this worker can reach its database."""
    with closing(connect()) as book:
        book.execute("SELECT 1")
    return {"status": "ok", "pid": os.getpid()}
