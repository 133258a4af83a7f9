//! Parallel tasks.
//!
//! The thread that waits for the last task of a rayon loop falls asleep after some 20 µs, and waking it takes 50 to 200 µs: as long as
//! many a loop of a training step. Where a program switches [`spin`] on, it looks for work until all is done. Without the feature
//! `spin` nothing here waits but rayon.

#[cfg(feature = "spin")]
mod awake;

#[cfg(feature = "spin")]
pub(crate) use awake::awake;
#[cfg(feature = "spin")]
pub use awake::spin;
#[cfg(feature = "spin")]
use awake::wait;

use std::sync::atomic::{AtomicUsize, Ordering};

/// Tasks of all pools that no thread has begun.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// `f` of each item, side by side.
pub(crate) fn for_each<I: Send>(items: impl IntoIterator<Item = I>, f: impl Fn(I) + Sync) {
    spread(items, &WAITING, f);
}

/// Whether a task does well to cut itself into [`pieces`]: other tasks do not wait, so threads that are ready would find nothing to do.
pub(crate) fn worth_cutting() -> bool {
    rayon::current_num_threads() > 1 && WAITING.load(Ordering::Relaxed) == 0
}

/// `f` of each piece of a task, side by side.
pub(crate) fn pieces<I: Send>(items: impl IntoIterator<Item = I>, f: impl Fn(I) + Sync) {
    spread(items, &AtomicUsize::new(0), f);
}

fn spread<I: Send>(items: impl IntoIterator<Item = I>, waiting: &AtomicUsize, f: impl Fn(I) + Sync) {
    let mut items = items.into_iter().peekable();
    let Some(first) = items.next() else { return };
    if rayon::current_num_threads() == 1 || items.peek().is_none() {
        f(first);
        return items.for_each(f);
    }
    let left = AtomicUsize::new(0);
    rayon::in_place_scope(|scope| {
        let (f, left) = (&f, &left);
        for item in items {
            left.fetch_add(1, Ordering::Relaxed);
            waiting.fetch_add(1, Ordering::Relaxed);
            scope.spawn(move |_| {
                waiting.fetch_sub(1, Ordering::Relaxed);
                let _done = Done(left);
                f(item);
            });
        }
        f(first);
        wait(left);
    });
}

/// f of each item in their order, computed side by side.
pub(crate) fn collect<I: Send, R: Send>(items: impl ExactSizeIterator<Item = I>, f: impl Fn(I) -> R + Sync) -> Vec<R> {
    let mut out: Vec<Option<R>> = (0..items.len()).map(|_| None).collect();
    for_each(items.zip(&mut out), |(item, out)| *out = Some(f(item)));
    out.into_iter().map(|r| r.expect("every task has run")).collect()
}

/// What `a` and `b` return, side by side.
pub(crate) fn both<A, B: Send>(a: impl FnOnce() -> A, b: impl FnOnce() -> B + Send) -> (A, B) {
    let (left, mut second) = (AtomicUsize::new(1), None);
    let first = rayon::in_place_scope(|scope| {
        let (left, second) = (&left, &mut second);
        scope.spawn(move |_| {
            let _done = Done(left);
            *second = Some(b());
        });
        let first = a();
        wait(left);
        first
    });
    (first, second.expect("the scope has waited for it"))
}

/// One task less when it goes, by a panic too.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// `f` in the pool.
#[cfg(not(feature = "spin"))]
pub(crate) fn awake<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}

/// The scope waits.
#[cfg(not(feature = "spin"))]
fn wait(_: &AtomicUsize) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Checks that every item is taken once, in pools of 1 and of 3 threads and from outside a pool, with spinning and without, and that a
    /// panic comes through.
    #[test]
    fn every_task_runs_once() {
        let run = || {
            let mut out = vec![0u32; 100];
            let (a, b) = both(|| for_each(out.iter_mut().enumerate(), |(i, x)| *x += i as u32), || 7);
            assert_eq!((a, b, out), ((), 7, (0..100).collect()));
            let fails = || for_each(0..10, |i| assert_ne!(i, 5));
            assert!(catch_unwind(AssertUnwindSafe(fails)).is_err());
        };
        for on in [false, true] {
            #[cfg(feature = "spin")]
            spin(on);
            run();
            for threads in [1, 3] {
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run);
            }
            println!("spinning: {on}");
        }
        #[cfg(feature = "spin")]
        spin(false);
    }
}
