"""A bank whose transfers take the locks of two accounts in the order in which the request names them.

    curl localhost:8000/transfer/rose/lily & curl localhost:8000/transfer/lily/rose

Each of the two holds what the other one waits for. The process is healthy, idle and answers others, until all of its
threads wait.
"""

import threading

LOCKS = {"rose": threading.Lock(), "lily": threading.Lock()}
BALANCES = {"rose": 100, "lily": 100}
AUDIT = threading.Barrier(2)  # stands for whatever lets two requests get between the locks; it makes sure of it


def app(environ, start_response):
    steps = environ["PATH_INFO"].strip("/").split("/")
    if steps[0] == "transfer":
        transfer(*steps[1:])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{BALANCES}\n".encode()]


def transfer(giver, taker):
    with LOCKS[giver]:
        AUDIT.wait()
        with LOCKS[taker]:  # broken: the other request takes these two locks in the other order
            BALANCES[giver] -= 1
            BALANCES[taker] += 1
