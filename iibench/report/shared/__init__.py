"""What pages of different kinds share; it imports none of them."""
