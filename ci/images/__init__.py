"""What builds images, with a container registry in reach or without."""
