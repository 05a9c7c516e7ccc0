"""The tutorial's server: Flask and `keras predict`; gunicorn calls `app` with $KERAS_MODEL naming the model's file."""

from __future__ import annotations

import os

import flask
import keras
import numpy as np

app = flask.Flask(__name__)
model = keras.models.load_model(os.environ["KERAS_MODEL"])


@app.post("/predict")  # type: ignore[untyped-decorator]
def predict() -> flask.Response:
    """Answer with the class and its probability."""
    image = np.array(flask.request.get_json()["input"], np.float32).reshape(1, 28, 28)
    (scores,) = model.predict(image, verbose=0)
    best = int(scores.argmax())
    return flask.jsonify(prediction=str(best), probability=f"{scores[best]:.4f}")
