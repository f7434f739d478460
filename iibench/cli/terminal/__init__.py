"""What the terminal shows while a run goes on and when it has ended."""
