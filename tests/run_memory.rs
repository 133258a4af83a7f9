//! Memory of many steps of every velocity with every model.

use pushforward::Error;
use pushforward::model::all_models;
use pushforward::velocity::all_velocities;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

mod trial;

/// Bytes in use.
static LIVE: AtomicIsize = AtomicIsize::new(0);

struct Counting;

// SAFETY: the system's allocator does the work; the counter is atomic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promises are those of the system's allocator.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Steps until buffers have their size, and steps after them.
const EARLY: u64 = 20;
const LATE: u64 = 60;

/// Checks that no velocity and no model keeps memory that grows with its steps: bytes in use after 80 steps are those after 20 to 64 bytes a
/// step, where a tape that kept its matrices added 200 and more.
#[test]
fn steps_keep_nothing() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut pairs = 0;
    for velocity in all_velocities() {
        let target = velocity.trial();
        for model in all_models() {
            let (v, m) = (velocity.name(), model.name());
            let method = trial::small(m, v, &target).unwrap().with("steps", EARLY + LATE).unwrap();
            pool.install(|| {
                let mut run = match method.start(&target, None) {
                    Ok(run) => run,
                    Err(Error::Mismatch { .. } | Error::Unsupported { .. }) => return,
                    Err(error) => panic!("{v} with {m}: {error}"),
                };
                let mut after = |steps: u64| {
                    (0..steps).for_each(|_| drop(run.step().unwrap()));
                    LIVE.load(Ordering::Relaxed)
                };
                let (early, late) = (after(EARLY), after(LATE));
                println!("{v} with {m}: {} bytes more", late - early);
                assert!(late - early <= 64 * LATE as isize, "{v} with {m}: {early} bytes, then {late}");
                pairs += 1;
            });
        }
    }
    assert!(pairs > 20, "{pairs} pairs");
    let kept: Vec<Vec<u8>> = (0..LATE).map(|_| vec![0; 200]).collect();
    let before = LIVE.load(Ordering::Relaxed);
    drop(kept);
    assert!(before - LIVE.load(Ordering::Relaxed) >= 200 * LATE as isize, "the counter counts");
}
