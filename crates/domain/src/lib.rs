//! The words of the program: cells, chromosomes, frames, stains, assays, and what they are called in messages.
//!
//! Every other crate builds on this one. It holds data and their names, no procedure: recognition fills a [`Cell`],
//! interpretation completes it; store, MQTT and page show it. Types with [`serde`] and [`schemars`] derives are part of
//! messages (schema `cell/1` and others): fields may be added within a major version, never renamed.

mod capture;
mod cell;
mod chromosome;
mod class;
mod dicentric;
mod error_kind;
mod evidence;
pub mod frame;
mod frame_edge;
mod geometry;
mod hex;
mod karyotype;
mod outline;
mod said;
mod words;

pub use capture::{Captured, Quality};
pub use cell::{Cell, Comment, Counts, Exclusion, NOTICE, Review, Simulated};
pub use chromosome::{Chromosome, Damage, ScoredClass, Stance, Status};
pub use class::{ChromosomeClass, ParseClassError, Sex};
pub use dicentric::{
    AberrationCounts, DicentricRecord, PieceKind, Ranked, Rejected, ScoredBy, ScoredPiece, ScorerUsed, TrueCell,
};
pub use error_kind::{ErrorKind, HasKind};
pub use evidence::ChromosomeEvidence;
pub use frame_edge::{Doubt, FrameEdge};
pub use geometry::{BoundingBox, StagePosition};
pub use hex::hex;
pub use karyotype::{Finding, FindingKind, Karyotype, Verdict};
pub use outline::{Centromere, FoundBy, Leftover, Outline, Point, SURE_OUTLINE, to_tenths};
pub use said::{Coded, Said, SaidValues};
pub use words::{Assay, Sample, SexDisclosure, Stain};
