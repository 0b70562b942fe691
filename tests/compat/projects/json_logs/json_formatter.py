"""One JSON object for each line of either log."""

import json
import logging


class JsonFormatter(logging.Formatter):
    def format(self, record):
        shown = {"logger": record.name, "level": record.levelname}
        if record.name == "gunicorn.access":
            atoms = record.args
            shown |= {
                "remote": atoms["h"],
                "method": atoms["m"],
                "path": atoms["U"],
                "query": atoms["q"],
                "status": int(atoms["s"]),
                "took_ms": atoms["M"],
                "agent": atoms["a"],
                "request_id": atoms["{x-request-id}i"],
                "type": atoms["{content-type}o"],
                "scheme": atoms["{wsgi.url_scheme}e"],
            }
        else:
            shown["message"] = record.getMessage()
        return json.dumps(shown)
