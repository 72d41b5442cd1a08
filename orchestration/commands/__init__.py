"""What the weir commands do; imported when a command runs, so that --help costs nothing."""
