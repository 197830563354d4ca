//! Figures against annotated cells, with intervals.
