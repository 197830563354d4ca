//! From counts of aberrations to absorbed dose. Pure.
