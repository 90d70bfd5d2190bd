"""What a process emits about itself: logs, metrics and traces."""
