//! Threads that stay awake between the parallel loops of a step, and at their ends.

use rayon::Yield;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a thread looks for work before it may fall asleep: longer than what one thread does alone within a step.
const PATIENCE: Duration = Duration::from_micros(500);

/// How long a step waits for the others to get up.
const GREETING: Duration = Duration::from_micros(50);

/// Whether threads may spin.
static SPINNING: AtomicBool = AtomicBool::new(false);

/// Whether the threads of the pool look for work all the time while a step lasts, instead of falling asleep wherever one thread goes on
/// alone: quicker on a machine of one's own, rude in a host's pool. Off unless a program switches it on; what is computed does not change.
pub fn spin(on: bool) {
    SPINNING.store(on, Ordering::Relaxed);
}

/// `f` in the pool; with [`spin`] on its other threads look for work all the time instead of falling asleep wherever one thread goes on alone.
///
/// Waking a sleeping core takes longer than most loops of a step, of which there are about twenty. What is computed does not change.
pub(crate) fn awake<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    if !SPINNING.load(Ordering::Relaxed) {
        return rayon::scope(|_| f());
    }
    let (over, up) = (AtomicBool::new(false), AtomicUsize::new(0));
    rayon::scope(|scope| {
        let threads = rayon::current_num_threads().min(cores());
        let own = rayon::current_thread_index();
        let (over, up) = (&over, &up);
        if threads > 1 {
            // whoever comes late may be in the middle of other work, which would wait for it
            let open = Instant::now();
            scope.spawn_broadcast(move |_, context| {
                if Some(context.index()) != own && context.index() < threads && open.elapsed() < GREETING {
                    up.fetch_add(1, Ordering::Relaxed);
                    look_for_work(over);
                }
            });
            while up.load(Ordering::Relaxed) + 1 < threads && open.elapsed() < GREETING {
                std::hint::spin_loop();
            }
        }
        let out = f();
        over.store(true, Ordering::Relaxed);
        out
    })
}

fn look_for_work(over: &AtomicBool) {
    let mut idle = Instant::now();
    while !over.load(Ordering::Relaxed) && idle.elapsed() < PATIENCE {
        if rayon::yield_now() == Some(Yield::Executed) {
            idle = Instant::now();
        } else {
            std::thread::yield_now();
        }
    }
}

/// Threads that can run at once. The system is asked once: it reads files for its answer.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Works until no task is left, with [`spin`] on. Threads outside the pool, and those of a pool that is too large for the machine, leave
/// the waiting to the scope.
pub(super) fn wait(left: &AtomicUsize) {
    if !SPINNING.load(Ordering::Relaxed) || rayon::current_num_threads() > cores() {
        return;
    }
    while left.load(Ordering::Acquire) > 0 {
        match rayon::yield_now() {
            Some(Yield::Executed) => {}
            Some(Yield::Idle) => std::thread::yield_now(),
            None => return,
        }
    }
}
