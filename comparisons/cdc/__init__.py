"""How a relay learns of new events: polling with and without NOTIFY, and the write-ahead log."""
