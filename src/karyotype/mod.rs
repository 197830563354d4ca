//! From classified chromosomes to a karyotype. Pure.

pub mod iscn;
