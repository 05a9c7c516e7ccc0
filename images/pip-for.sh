#!/bin/sh
# pip for the environment of the interpreter named first: `pip-for /opt/venv/bin/python install ...`.
# Build secrets, when given: ca-bundle (a private certificate authority), pip-conf (a mirror). Neither stays in a layer.
set -eu
interpreter=$1
shift
if [ -s /run/secrets/ca-bundle ]; then
  PIP_CERT=/run/secrets/ca-bundle
  export PIP_CERT
fi
if [ -s /run/secrets/pip-conf ]; then
  PIP_CONFIG_FILE=/run/secrets/pip-conf
  export PIP_CONFIG_FILE
fi
exec python3 -m pip --python "$interpreter" --disable-pip-version-check --no-input "$@"
