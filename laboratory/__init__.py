"""Train the small language models whose runs are the dataset `laboratory`."""
