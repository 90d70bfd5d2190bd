"""The write-ahead log as a source: a logical replication slot tells which groups of the outbox have news."""
