//! Work on the chromosomes of one cell, shared out among threads.

use std::{panic::resume_unwind, thread};

/// Fewer than this are not worth a thread of their own.
const LEAST_FOR_A_THREAD: usize = 8;

/// What `work` makes of each of `items`, in their order. They are shared out in runs among at most `threads` threads, of which the
/// caller's is one; a panic in any of them goes on in the caller's.
pub fn each_of<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let run = items.len().div_ceil(threads.max(1)).max(LEAST_FOR_A_THREAD);
    let Some((own, others)) = items.split_at_checked(run).filter(|(_, others)| !others.is_empty()) else {
        return items.iter().map(work).collect();
    };
    let work = &work;
    thread::scope(|scope| {
        let others: Vec<_> =
            others.chunks(run).map(|run| scope.spawn(move || run.iter().map(work).collect::<Vec<R>>())).collect();
        let mut all: Vec<R> = own.iter().map(work).collect();
        for other in others {
            all.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_number_stay_whatever_the_threads() {
        for n in [0, 1, 7, 8, 9, 46, 47] {
            let items: Vec<usize> = (0..n).collect();
            for threads in [0, 1, 2, 3, 100] {
                let squares = each_of(&items, threads, |i| i * i);
                assert_eq!(squares, items.iter().map(|i| i * i).collect::<Vec<_>>(), "{n} by {threads}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "the last one")]
    fn a_panic_of_any_thread_is_the_callers() {
        let items: Vec<usize> = (0..40).collect();
        each_of(&items, 4, |i| assert!(*i != 39, "the last one"));
    }
}
