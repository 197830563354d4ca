//! Set-up of tracing.
