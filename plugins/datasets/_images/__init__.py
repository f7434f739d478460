"""What datasets of images share: decoding, files, stores. No plugin."""
