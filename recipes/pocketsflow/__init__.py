"""What is particular to Pocketsflow: how it signs."""
