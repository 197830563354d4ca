//! Pixels to pixels, masks and shapes. Pure functions with scratch buffers handed in.
