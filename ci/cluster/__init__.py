"""What makes a real cluster: Docker Engine, node image, registry, kind, minikube or one that is there."""
