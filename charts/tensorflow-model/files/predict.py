"""Send BODY to URL/predict and fail unless a class is predicted (the one EXPECTED, if that is set)."""

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

url, body, expected = os.environ["URL"], os.environ["BODY"], os.environ["EXPECTED"]
request = urllib.request.Request(f"{url}/predict", body.encode(), {"Content-Type": "application/json"})


def ask():
    """Return the answer, or None with the reason it may come later; exit when it will not come."""
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
            return json.load(reply), ""
    except urllib.error.HTTPError as error:
        reason = f"{url}/predict answered {error.code}: {error.read().decode(errors='replace')}"
        if error.code < 500:
            sys.exit(reason)
        return None, reason
    except OSError as error:
        return None, f"{url}/predict cannot be reached: {error}"


deadline = time.monotonic() + GIVE_UP_AFTER_SECONDS - TIMEOUT_SECONDS
answer, reason = ask()
while answer is None:
    if time.monotonic() > deadline:
        sys.exit(reason)
    time.sleep(PAUSE_SECONDS)
    answer, reason = ask()

print(json.dumps(answer))
if not answer.get("prediction") or expected not in ("", answer["prediction"]):
    sys.exit(f"expected the prediction {expected or 'of a class'}, got {answer}")
