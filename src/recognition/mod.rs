//! Frames in, chromosomes with scores out.
