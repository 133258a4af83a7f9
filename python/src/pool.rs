//! Pools of threads: one for each run, and one that everything else shares.

use pushforward_cli::failure::{Failure, Outcome};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Arc, Mutex, PoisonError};

/// The stack of a thread: that of a main thread, since readers of formulas may recurse.
const STACK: usize = 8 << 20;

/// More threads than any machine has cores.
const MOST: usize = 4_096;

/// A pool of so many threads; all cores where none is said.
pub fn of(threads: Option<usize>) -> Outcome<ThreadPool> {
    let threads = threads.unwrap_or(0);
    if threads > MOST {
        return Err(Failure::input(format!("threads = {threads}; give at most {MOST}")));
    }
    let built = ThreadPoolBuilder::new().num_threads(threads).stack_size(STACK).build();
    built.map_err(|e| Failure::Machine(format!("cannot start {threads} threads: {e}; give fewer threads")))
}

/// The pool of this process. A process that was forked gets one of its own: threads do not survive a fork.
pub fn shared() -> Arc<ThreadPool> {
    static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let own = std::process::id();
    match &*pool {
        Some((owner, shared)) if *owner == own => Arc::clone(shared),
        _ => {
            let made = Arc::new(of(None).unwrap_or_else(|failure| panic!("{failure}")));
            // what another process owns is left alone: to drop it would wait for threads that are not here
            std::mem::forget(pool.replace((own, Arc::clone(&made))));
            made
        }
    }
}
