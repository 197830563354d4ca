//! What the daemon publishes about itself: birth, engine and models.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    config::{Config, Loaded},
    pipeline::stages::recognise::engine_state,
    station::{Birth, Health, HostFacts, ModelFacts, SourceFacts},
};
use domain::{Assay, NOTICE, hex};
use recognition::Recognizer;

/// Reports engine and models: in `state`, and in `birth`.
pub fn report_models(health: &Health, recognizer: &dyn Recognizer) {
    let provenance = recognizer.provenance().clone();
    health.engine(|e| *e = engine_state(&provenance));
    health.set_birth(|birth| {
        birth.engine = provenance.engine.clone();
        for (task, label) in &provenance.models {
            let (name, hash) = label.split_once('@').unwrap_or((label, ""));
            let facts =
                ModelFacts { task: task.clone(), name: name.into(), sha256: hash.into(), ..ModelFacts::default() };
            if !birth.models.contains(&facts) {
                birth.models.push(facts);
            }
        }
    });
}

/// The `birth` message before the engine is known.
pub fn birth(loaded: &Loaded) -> Birth {
    let config = &loaded.config;
    Birth {
        schema: "birth/1".into(),
        station: config.station.clone(),
        started: Timestamp::now().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        host: HostFacts {
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        },
        assay: match config.assay {
            Assay::Karyotype => "karyotype".into(),
            Assay::Dicentric => "dicentric".into(),
        },
        sources: config
            .sources()
            .into_iter()
            .map(|(name, s)| {
                let facts = SourceFacts {
                    kind: s.kind.name().into(),
                    mode: s.mode().name().into(),
                    stain: s.stain.name().into(),
                };
                (name, facts)
            })
            .collect(),
        configuration: digest(config),
        notice: NOTICE.into(),
        ..Birth::default()
    }
}

/// SHA-256 of a configuration without its secrets.
pub fn digest(config: &Config) -> String {
    let mut shown = config.clone();
    shown.mqtt.password = None;
    // The types hold nothing that JSON cannot.
    hex(Sha256::digest(serde_json::to_vec(&shown).unwrap_or_default()))
}
