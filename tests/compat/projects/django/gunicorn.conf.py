import os

workers = 2
user = os.environ["SERVED_BY"]
group = int(os.environ["SERVED_BY_GROUP"])
umask = 0o027
accesslog = "-"
