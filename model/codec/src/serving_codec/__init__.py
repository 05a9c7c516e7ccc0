"""TensorFlow Serving's wire without TensorFlow: statuses, tensors, JSON."""
