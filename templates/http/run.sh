#!/bin/sh
# Starts the program that serves {{name}}. It must listen on 127.0.0.1:$PORT, or
# on the Unix socket $GAPLESS_SOCKET. `exec` hands the process over to it, so that
# the platform's SIGTERM reaches it and not this shell.
#
# Here it is Python's file server, so that this runs at once. Put your own
# program in its place; if it reads $PORT itself, name it in gapless.yaml and
# delete this file:
#
#   command: ["./my-server"]
#
# and if it wants the address as an argument:
#
#   exec ./my-server --listen "127.0.0.1:$PORT"
set -eu
exec python3 -m http.server --bind 127.0.0.1 --directory public "$PORT"
