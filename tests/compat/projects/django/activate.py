"""systemd's part: listen, pass the socket as descriptor 3, run the service. activate.py SOCKET COMMAND..."""

import os
import socket
import sys

listener = socket.socket(socket.AF_UNIX)
os.umask(0o066)
listener.bind(sys.argv[1])
listener.listen(128)
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)  # dup2 does not say so when it was 3 before
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
os.execvp(sys.argv[2], sys.argv[2:])
