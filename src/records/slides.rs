//! The slides at work: finds go in, their latest `slide` documents come out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    case::{SeenSpread, SlideMap},
    mqtt::slide_topic,
    store::{FrameCommit, Latest, SpreadRow, Store, StoreError},
};

/// The slides whose finds have changed in this run. Cloning shares them.
///
/// The store has every find; a slide is read from it when its document is made, so that nothing here can differ from it.
#[derive(Debug, Clone)]
pub struct SlideBook {
    station: Arc<str>,
    store: Store,
    /// Slides with finds that their documents do not have, each with the case of the latest.
    changed: Arc<Mutex<BTreeMap<String, Option<String>>>>,
    maps: Arc<Mutex<BTreeMap<String, (SlideMap, i64)>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SlideBook {
    /// Over the store.
    pub fn new(station: &str, store: Store) -> Self {
        Self { station: station.into(), store, changed: Arc::default(), maps: Arc::default() }
    }

    /// The store has these finds.
    pub fn put(&self, finds: &[SpreadRow]) {
        let mut changed = lock(&self.changed);
        for find in finds {
            changed.insert(find.slide.clone(), find.case.clone());
        }
    }

    /// A case was erased, and with it finds and the documents that showed them: what was read is forgotten, and the
    /// documents of the slides that have others are made again with the next [`Self::publish`].
    ///
    /// # Errors
    /// What the store said.
    pub fn forget(&self) -> Result<(), StoreError> {
        let mut changed = lock(&self.changed);
        let behind = self.store.reader().slides_behind()?;
        lock(&self.maps).clear();
        *changed = behind.into_iter().collect();
        Ok(())
    }

    /// Stores the documents of the slides that changed; those that the store does not take are tried again with the next
    /// call.
    ///
    /// # Errors
    /// What the store said first.
    pub fn publish(&self, time: &str) -> Result<(), StoreError> {
        let changed = std::mem::take(&mut *lock(&self.changed));
        let mut published = Ok(());
        for (slide, case) in changed {
            let done = self.document(&slide, case.clone(), time).and_then(|latest| {
                let values = vec![self.value(&slide)];
                let commit = FrameCommit { latest: vec![latest], values, ..FrameCommit::default() };
                self.store.commit(&[commit]).map(drop)
            });
            if let Err(error) = done {
                lock(&self.changed).entry(slide).or_insert(case);
                published = published.and(Err(error));
            }
        }
        published
    }

    /// Names the slides whose documents a crash has left behind their finds; they are made with the next
    /// [`Self::publish`].
    ///
    /// # Errors
    /// What the store said.
    pub fn catch_up(&self) -> Result<(), StoreError> {
        let behind = self.store.reader().slides_behind()?;
        lock(&self.changed).extend(behind);
        Ok(())
    }

    /// Notes which finds the document of a slide rests on.
    fn value(&self, slide: &str) -> (String, String) {
        let last = lock(&self.maps).get(slide).map_or(0, |(_, last)| *last);
        (Store::slide_key(slide), last.to_string())
    }

    /// The document of a slide by all that the store has; only what is new is read.
    fn document(&self, slide: &str, case: Option<String>, time: &str) -> Result<Latest, StoreError> {
        let mut maps = lock(&self.maps);
        let (map, after) = maps.entry(slide.to_owned()).or_default();
        for (number, document) in self.store.reader().spreads(slide, *after)? {
            *after = number;
            // Written by this program; what another version wrote is left out.
            match serde_json::from_str::<SeenSpread>(&document) {
                Ok(seen) => map.put(seen),
                Err(error) => tracing::warn!(slide, %error, "a find of the slide cannot be read"),
            }
        }
        let state = map.state(&self.station, slide, time);
        let payload = (state.total > 0).then(|| serde_json::to_string(&state).ok()).flatten();
        Ok(Latest { topic: slide_topic(slide), payload, case })
    }
}
