def create_app():
    def application(environ, start_response):
        body = str(len(environ.get("HTTP_X_LONG", "") + environ["QUERY_STRING"])).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    return application
