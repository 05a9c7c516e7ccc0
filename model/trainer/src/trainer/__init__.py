"""Train, evaluate, gate and publish one TensorFlow model."""
