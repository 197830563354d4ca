//! Cells gathered into a case: clones, dose so far, review. Pure.
