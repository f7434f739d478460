"""What datasets of trials share: tables and paths. No plugin."""
