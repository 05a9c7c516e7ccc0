#!/bin/sh
# The entrypoint of upstream's image by name and environment; exec, so that SIGTERM reaches the server.
set -eu
exec tensorflow_model_server --port=8500 --rest_api_port=8501 \
  --model_name="${MODEL_NAME}" --model_base_path="${MODEL_BASE_PATH}/${MODEL_NAME}" "$@"
