"""WebSockets in a WSGI application, as people write them for Gunicorn: flask-sock, simple-websocket, Flask-SocketIO."""

import simple_websocket
from flask import Flask, request
from flask_sock import Sock
from flask_socketio import SocketIO

app = Flask(__name__)
# With an interval simple-websocket waits in a selector, otherwise in recv.
app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}
sock = Sock(app)
socketio = SocketIO(app, async_mode="threading", cors_allowed_origins="*")


@app.get("/")
def index():
    return {"multithread": request.environ["wsgi.multithread"]}


@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())


@sock.route("/greet")
def greet(ws):
    ws.send("hello")  # and the function ends, and with it the connection


@sock.route("/fail")
def fail(ws):
    ws.send("before")
    raise ValueError("of the application")


@app.route("/simple", websocket=True)
def simple():
    ws = simple_websocket.Server.accept(request.environ, receive_bytes=16)
    try:
        while True:
            ws.send(ws.receive())
    except simple_websocket.ConnectionClosed:
        pass
    return ""


@socketio.on("question")
def on_question(data):
    socketio.emit("news", {"to": data["who"]}, to=request.sid)
    return f"hello {data['who']}"
