"""What every room stands on: errors of one line, files read and written whole, devices, and what a score is."""
