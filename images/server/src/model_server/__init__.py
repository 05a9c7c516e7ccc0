"""A drop-in tensorflow_model_server: the same flags, files, routes and messages as TensorFlow Serving."""
