"""What a group arranges while it can still talk, for when it cannot: pure rules, with no clock, disk or wire of their
own."""
