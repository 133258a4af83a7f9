//! The bytes that a thread holds, counted by the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// (bytes that live, most since the last start) of this thread.
    static BYTES: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, counting.
struct Counting;

fn count(size: isize) {
    // while a thread ends there is nothing to count
    let _ = BYTES.try_with(|b| {
        let (live, peak) = b.get();
        b.set((live + size, peak.max(live + size)));
    });
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(memory, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // both blocks may live for a moment
        count(size as isize);
        count(-(layout.size() as isize));
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Forgets the peak; the bytes that live now.
pub fn start() -> isize {
    BYTES.with(|b| {
        let (live, _) = b.get();
        b.set((live, live));
        live
    })
}

/// Most bytes that lived since the last [`start`].
pub fn peak() -> isize {
    BYTES.with(|b| b.get().1)
}
