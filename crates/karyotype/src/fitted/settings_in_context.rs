//! How cells are interpreted whose candidates were judged in context. Fitted on validation persons with anatomy@179f84a5f9d8, classifier-metaphase@9ce67c076236,
//! classifier-metaphase/context@26a2c089a600 and detector-metaphase@4485b7e85a6b; `finding_posterior` by hand, from the table of thresholds on the cells fitted to, by
//! the rule that the fit has followed since (0.6 before). `cargo run --release -p metaphased-fit -- karyotype DATA --split SPLIT --write` fits and writes new ones.

use domain::{Sample, SexDisclosure};

use crate::{KaryotypeSettings, Penalties};

pub(crate) const IN_CONTEXT: KaryotypeSettings = KaryotypeSettings {
    sex: SexDisclosure::Shown,
    sample: Sample::Constitutional,
    class_temperature: 1.05,
    finding_posterior: 0.85,
    gain_posterior: 0.7,
    morphology: 0.0,
    normal_posterior: 0.9,
    rival_iou: 0.34,
    temperature: 1.1,
    penalties: Penalties {
        duplicate: 8.225,
        extra: 0.95,
        gain: 1.0,
        leftover: 2.0,
        loss: 6.05,
        miss: 7.23,
        missing: 6.3,
        ploidy: 6.0,
        rivals: 2.5,
        sex: 3.2,
        unselected: 1.35,
    },
};
