"""What must hold: checks as pure functions over plain values, and the door that hangs them on assets."""
