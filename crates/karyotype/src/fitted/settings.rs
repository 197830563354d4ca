//! How cells are interpreted whose candidates were judged one by one. Fitted on validation persons with classifier-metaphase@4aae869023df and
//! detector-metaphase@4485b7e85a6b, and kept for classifier-metaphase@9a49e0d6b807, not fitted again to 9ce67c076236, which brings a network of context; `leftover` by hand on 400 edited cells of them, with anatomy 0.1.0. Converted from that fit;
//! `cargo run --release -p metaphased-fit -- karyotype DATA --write` fits and writes new ones.

use domain::{Sample, SexDisclosure};

use crate::{KaryotypeSettings, Penalties};

pub(crate) const FITTED: KaryotypeSettings = KaryotypeSettings {
    sex: SexDisclosure::Shown,
    sample: Sample::Constitutional,
    class_temperature: 1.275,
    temperature: 1.0,
    morphology: 0.0,
    finding_posterior: 0.8,
    gain_posterior: 0.7,
    normal_posterior: 0.9,
    rival_iou: 0.265,
    penalties: Penalties {
        gain: 4.325,
        loss: 2.8,
        sex: 3.2,
        ploidy: 6.0,
        miss: 9.48,
        unselected: 0.6,
        leftover: 2.0,
        duplicate: 8.1,
        rivals: 8.0,
        missing: 3.05,
        extra: 2.95,
    },
};
