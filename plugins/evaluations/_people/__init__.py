"""What evaluations on people's answers share. No plugin."""
