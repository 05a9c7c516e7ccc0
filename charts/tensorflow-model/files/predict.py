"""Send BODY to URL/predict and fail unless the answer is a prediction (EXPECTED, if that is set)."""

import json
import os
import sys
import urllib.error
import urllib.request

url, body, expected = os.environ["URL"], os.environ["BODY"], os.environ["EXPECTED"]
request = urllib.request.Request(f"{url}/predict", body.encode(), {"Content-Type": "application/json"})
try:
    with urllib.request.urlopen(request, timeout=20) as reply:
        answer = json.load(reply)
except urllib.error.HTTPError as error:
    sys.exit(f"{url}/predict answered {error.code}: {error.read().decode(errors='replace')}")
except OSError as error:
    sys.exit(f"{url}/predict cannot be reached: {error}")
print(json.dumps(answer))
if not answer.get("prediction") or (expected and answer["prediction"] != expected):
    sys.exit(f"expected the prediction {expected or 'of a class'}, got {answer}")
