"""Send BODY to URL/predict and fail unless a class is predicted (the one EXPECTED, if that is set)."""

import http
import json
import os
import sys
import time
import urllib.error
import urllib.request

# Endpoints follow a rollout within seconds; what is still away after that is away.
GIVE_UP_AFTER_SECONDS = 30
TIMEOUT_SECONDS = 5
PAUSE_SECONDS = 2


class Away(Exception):  # noqa: N818 - not an error yet
    """No answer now; one may come."""


def predict(url: str, body: str) -> dict[str, str]:
    """Return the answer to one request; raise Away when it may come later, exit when it will not."""
    request = urllib.request.Request(f"{url}/predict", body.encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        told = f"{url}/predict answered {error.code}: {error.read().decode(errors='replace')}"
        if error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR:
            sys.exit(told)
        raise Away(told) from error
    except OSError as error:
        raise Away(f"{url}/predict cannot be reached: {error}") from error


def predict_patiently(url: str, body: str) -> dict[str, str]:
    """Return the answer, asking again while the api or its server is away; exit when they stay away."""
    deadline = time.monotonic() + GIVE_UP_AFTER_SECONDS - TIMEOUT_SECONDS
    while True:
        try:
            return predict(url, body)
        except Away as reason:
            if time.monotonic() > deadline:
                sys.exit(str(reason))
        time.sleep(PAUSE_SECONDS)


expected = os.environ["EXPECTED"]
answer = predict_patiently(os.environ["URL"], os.environ["BODY"])
print(json.dumps(answer))
if not answer.get("prediction") or expected not in {"", answer["prediction"]}:
    sys.exit(f"expected the prediction {expected or 'of a class'}, got {answer}")
