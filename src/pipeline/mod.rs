//! Threads, channels and supervision: the way of a frame, assembled.
