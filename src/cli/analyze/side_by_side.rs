//! Several files at once, their results in order.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Condvar, Mutex, PoisonError, mpsc},
    thread,
};

/// Results that may wait for an earlier one, for each worker.
const AHEAD: usize = 4;

/// How far the workers are.
#[derive(Default)]
struct Progress {
    /// The next item to work on.
    next: usize,
    /// Items whose results have been taken.
    taken: usize,
    /// Nobody wants the rest.
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    moved: Condvar,
}

impl Shared {
    /// The next item, once not too many results wait for an earlier one.
    fn next(&self, count: usize, ahead: usize) -> Option<usize> {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let too_far = |progress: &mut Progress| !progress.stopped && progress.next >= progress.taken + ahead;
        let mut progress = self.moved.wait_while(progress, too_far).unwrap_or_else(PoisonError::into_inner);
        if progress.stopped || progress.next >= count {
            return None;
        }
        progress.next += 1;
        Some(progress.next - 1)
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
        self.moved.notify_all();
    }
}

/// Lets each of `workers` work on items numbered from 0 to `count`, whichever comes next, and hands the results over in the
/// order of the items, as they come. A bounded number of results waits.
///
/// # Errors
/// The first error of `take`; the items after it are left.
pub fn in_order<T: Send, E>(
    workers: &mut [impl FnMut(usize) -> T + Send],
    count: usize,
    mut take: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    let shared = Shared::default();
    let ahead = AHEAD * workers.len();
    thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for work in workers {
            let (sender, shared) = (sender.clone(), &shared);
            scope.spawn(move || {
                while let Some(item) = shared.next(count, ahead) {
                    let result = catch_unwind(AssertUnwindSafe(|| work(item)));
                    if sender.send((item, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        for item in 0..count {
            let result = loop {
                if let Some(result) = early.remove(&item) {
                    break result;
                }
                match results.recv() {
                    Ok((number, result)) => drop(early.insert(number, result)),
                    // Every item is worked on by a worker that answers.
                    Err(_) => return Ok(()),
                }
            };
            let taken = match result {
                Ok(result) => take(item, result),
                Err(panic) => {
                    shared.change(|progress| progress.stopped = true);
                    resume_unwind(panic);
                }
            };
            shared.change(|progress| {
                progress.taken += 1;
                progress.stopped |= taken.is_err();
            });
            taken?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use super::*;

    #[test]
    fn results_come_in_order_though_workers_overtake_each_other() {
        let done = Mutex::new(BTreeSet::new());
        // Every fourth item takes as long as the two behind it.
        let work = |item: usize| {
            let waits = || !(item + 1..=item + 2).all(|n| n >= 50 || done.lock().unwrap().contains(&n));
            while item.is_multiple_of(4) && waits() {
                thread::yield_now();
            }
            done.lock().unwrap().insert(item);
            item * 3
        };
        let mut seen = Vec::new();
        let all = in_order(&mut [work, work, work], 50, |item, result| {
            seen.push((item, result));
            Ok::<(), ()>(())
        });
        assert_eq!(all, Ok(()));
        assert_eq!(seen, (0..50).map(|item| (item, item * 3)).collect::<Vec<_>>());
    }

    #[test]
    fn a_slow_item_holds_a_bounded_number_of_results_up() {
        let begun = AtomicUsize::new(0);
        let work = |item: usize| {
            begun.fetch_add(1, SeqCst);
            // The first one ends when the others can get no further.
            while item == 0 && begun.load(SeqCst) < 2 * AHEAD {
                thread::yield_now();
            }
            begun.load(SeqCst)
        };
        let mut most = 0;
        let all = in_order(&mut [work, work], 100, |item, begun| {
            if item == 0 {
                most = begun;
            }
            Ok::<(), ()>(())
        });
        assert_eq!((all, most), (Ok(()), 2 * AHEAD));
    }

    #[test]
    fn an_error_leaves_the_rest_and_a_panic_is_not_lost() {
        let work = |item: usize| item;
        let mut seen = 0;
        let ended = in_order(&mut [work, work], 1_000_000, |item, _| {
            seen += 1;
            if item == 5 { Err("the disk is full") } else { Ok(()) }
        });
        assert_eq!((ended, seen), (Err("the disk is full"), 6));
        let breaks = |item: usize| assert!(item != 3, "the third breaks");
        let panicked =
            catch_unwind(AssertUnwindSafe(|| in_order(&mut [breaks, breaks], 100, |_, ()| Ok::<(), ()>(()))));
        assert!(panicked.is_err());
    }
}
