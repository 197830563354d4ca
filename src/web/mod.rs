//! The live page, the HTTP API, metrics and health.
