//! From classified chromosomes to a karyotype. Pure.
