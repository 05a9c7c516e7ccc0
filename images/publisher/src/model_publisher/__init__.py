"""Between training and the store: what is there already, what is good enough, what is published."""
