"""What a SavedModel says of itself, and whether the api can use it: read and written without TensorFlow."""
