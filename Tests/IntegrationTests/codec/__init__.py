"""What the differential test of the codec is made of."""
