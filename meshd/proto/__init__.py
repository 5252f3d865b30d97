"""The protocol between two nodes: frames, messages, sessions, reconcile, gossip, and whom to dial."""
