"""A shop that keeps the whole basket in a cookie. Without a proxy all is well; behind Nginx the page is a 502.

    curl localhost:8000/basket?items=1000

Nginx reads the head of a response into one buffer (`proxy_buffer_size`, 4 or 8 KiB unless it is set). When the head
does not fit, Nginx throws the response away and answers 502; the application has done its work, and logs a 200.
"""

from urllib.parse import parse_qs


def app(environ, start_response):
    fields = [("Content-Type", "text/plain")]
    if environ["PATH_INFO"] == "/basket":
        items = int(parse_qs(environ["QUERY_STRING"]).get("items", ["0"])[0])
        fields.append(("Set-Cookie", "basket=" + "-".join(f"item{number}" for number in range(items))))
    start_response("200 OK", fields)  # broken: with 1,000 items the head has 8 KB; Nginx takes 4
    return [b"in your basket\n"]
