"""What was found in files is remembered, and found again while nothing that it rests on has changed."""
