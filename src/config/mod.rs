//! Typed configuration with the place of every mistake.
