//! SQLite: cells, outbox, retention.
