//! Memory of many steps of every velocity with every model, and of one with many particles.

use pushforward::Error;
use pushforward::density::GaussianMixture;
use pushforward::estimate::{Clock, Reference, Scene};
use pushforward::linalg::Matrix;
use pushforward::model::all_models;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::velocity::{Kernel, Stein, Velocity, all_velocities};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, Mutex};

mod trial;

/// Bytes in use.
static LIVE: AtomicIsize = AtomicIsize::new(0);

/// The most that were in use.
static PEAK: AtomicIsize = AtomicIsize::new(0);

/// Held by a test: its bytes are its own.
static ALONE: Mutex<()> = Mutex::new(());

struct Counting;

// SAFETY: the system's allocator does the work; the counter is atomic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size() as isize, Ordering::Relaxed) + layout.size() as isize;
        PEAK.fetch_max(live, Ordering::Relaxed);
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
    let _alone = ALONE.lock().unwrap();
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

/// Checks that Stein's velocity of 16,384 particles in the plane stays under 200 MB, in f64 and f32, with a given width and the median rule: the pairs
/// alone would be 1.1 GB in f32.
#[test]
fn stein_keeps_no_pairs() {
    let _alone = ALONE.lock().unwrap();
    let target =
        Arc::new(GaussianMixture::gaussian(&[0.0, 0.0], Matrix::from_rows(&[[1.0, 0.0], [0.0, 1.0]])).unwrap());
    let x: Matrix = normal_matrix(1, Purpose::Check, 0, 16_384, 2);
    let clock = Clock { step: 0, steps: 1 };
    let scene =
        Scene { x: &x, reference: Reference::Own, classes: None, at_x: None, law: None, dt: 0.1, clock, seed: 1 };
    for width in [Some(0.5), None] {
        let stein = || Stein::new(Arc::clone(&target) as Arc<_>, Kernel::Rbf(width));
        for (velocity, kind) in [(stein(), "f64"), (stein().single(), "f32")] {
            let before = LIVE.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            drop(velocity.evaluate(&scene).unwrap());
            let megabytes = (PEAK.load(Ordering::Relaxed) - before) as f64 / 1e6;
            println!("{kind}, width {width:?}: {megabytes:.2} MB");
            // x, its scores and V are 0.8 MB: the counter counts
            assert!((0.5..200.0).contains(&megabytes), "{kind}, width {width:?}: {megabytes} MB");
        }
    }
}
