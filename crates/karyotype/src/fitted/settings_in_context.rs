//! How cells are interpreted whose candidates were judged in context. Fitted on validation persons with anatomy@179f84a5f9d8, classifier-metaphase@9ce67c076236,
//! classifier-metaphase/context@87c49a8e8a05 and detector-metaphase@dcaa7df18ed6, the selection held as it was.
//! `cargo run --release -p metaphased-fit -- karyotype DATA --split SPLIT --hold-selection --write` fits and writes new ones.

use domain::{Sample, SexDisclosure};

use crate::{KaryotypeSettings, Penalties};

pub(crate) const IN_CONTEXT: KaryotypeSettings = KaryotypeSettings {
    sex: SexDisclosure::Shown,
    sample: Sample::Constitutional,
    class_temperature: 1.1,
    finding_posterior: 0.85,
    gain_posterior: 0.6,
    morphology: 0.0,
    normal_posterior: 0.8,
    rival_iou: 0.34,
    temperature: 0.95,
    penalties: Penalties {
        duplicate: 9.225,
        extra: 0.95,
        gain: 1.0,
        leftover: 2.0,
        loss: 5.55,
        miss: 5.855,
        missing: 6.3,
        ploidy: 6.0,
        rivals: 2.5,
        sex: 3.2,
        unselected: 1.6,
    },
};
