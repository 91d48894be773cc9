"""`kubernaut watch`: alerts and investigations as they happen. It asks; it changes nothing."""
