"""A shop with a report that looks for every customer's name in every order's remark, with LIKE.

    pip install sqlalchemy
    curl localhost:8000/report

No index helps there: the database compares each of the names with each of the remarks. It was fast with ten orders.
(The database is SQLite, in memory, so that there is nothing to set up. Its driver waits in C code, as those of other
databases do, and lets other threads run.)
"""

from sqlalchemy import StaticPool, create_engine, text

ROWS = 20_000
REPORT = text("SELECT count(*) FROM orders JOIN customers ON orders.remark LIKE '%' || customers.name || '%'")


def app(environ, start_response):
    answer = most_mentioned() if environ["PATH_INFO"] == "/report" else "welcome"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{answer}\n".encode()]


def open_database():
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as database:
        database.execute(text("CREATE TABLE customers (name TEXT)"))
        database.execute(text("CREATE TABLE orders (remark TEXT)"))
        numbers = [{"number": number} for number in range(ROWS)]
        database.execute(text("INSERT INTO customers VALUES ('customer ' || :number)"), numbers)
        database.execute(text("INSERT INTO orders VALUES ('leave it with neighbour ' || :number)"), numbers)
    return engine


DATABASE = open_database()


def most_mentioned():
    with DATABASE.connect() as database:
        return database.execute(REPORT).scalar()  # broken: compares 20,000 names with 20,000 remarks
