"""The model store in a bucket that speaks S3, in the layout it has on a volume."""
