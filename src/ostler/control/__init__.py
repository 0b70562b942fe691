"""The operator's socket: what `ostler reload` and `ostler upgrade` say to a running master, and hear from it."""
