"""What people have in their clusters, for tests: built from package registries where no image can be pulled."""
