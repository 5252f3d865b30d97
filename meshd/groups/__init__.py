"""Who is in a group, and how its members come to its keys: pure rules, with no clock, disk or wire of their own."""
