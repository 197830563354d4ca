//! Scoring one cell for the dicentric assay. Pure but for its network.
