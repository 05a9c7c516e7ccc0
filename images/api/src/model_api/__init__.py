"""HTTP gateway in front of TensorFlow Serving: images in, predictions out."""
