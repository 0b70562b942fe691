"""A catalogue with a cache of rendered pages that is never emptied, and whose key is the whole query string.

    for page in $(seq 200); do curl -s -o /dev/null "localhost:8000/catalogue?session=$page"; sleep 0.1; done

Every visitor has a query string of his own, so nothing is ever found in the cache, and nothing ever leaves it.
"""

CACHE = {}


def app(environ, start_response):
    body = page(environ["QUERY_STRING"]) if environ["PATH_INFO"] == "/catalogue" else b"welcome\n"
    start_response("200 OK", [("Content-Type", "text/html")])
    return [body]


def page(query):
    if query not in CACHE:
        CACHE[query] = render(query)
    return CACHE[query]


def render(query):
    rows = f"<tr><td>{query}</td></tr>\n" * 70_000
    return rows.encode()  # broken: two megabytes that CACHE keeps for as long as the worker lives
