"""The first-party plugins of iibench: a file or a folder with hooks is one plugin; see README.md."""
