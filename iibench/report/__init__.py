"""What people read of results: pages, figures, notebooks, exports."""
