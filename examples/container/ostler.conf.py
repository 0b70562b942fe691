bind = "0.0.0.0:8000"
workers = "auto"  # as many as the container's CPUs and memory allow
accesslog = "-"

# `docker stop` waits 10 seconds, Kubernetes 30 (terminationGracePeriodSeconds): both together must be less.
graceful_timeout = 7
lame_duck = 2
readiness_path = ["/ready"]
