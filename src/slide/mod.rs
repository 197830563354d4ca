//! The virtual slide: karyotype or dose in, pixels and truth out. Pure, by seed.
