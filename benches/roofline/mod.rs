//! What a core can do at best: multiply-adds without loads, and a copy that no cache holds.

use pushforward::num::{InstructionSet, instruction_set};
use std::hint::black_box;

/// Multiply-adds of one call, counted as two operations each, in every thread.
pub const OPERATIONS: usize = 1 << 28;

/// Bytes that a copy reads, and writes.
pub const BYTES: usize = 1 << 28;

/// [`OPERATIONS`] in this thread, in f32 where `single`, by vectors of the process's instruction set; false where it has none.
pub fn multiply_adds(single: bool) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let set = instruction_set();
        // SAFETY: the process has this instruction set, or it would not have chosen it.
        unsafe {
            match (set, single) {
                (InstructionSet::Avx512, true) => x86::single512(),
                (InstructionSet::Avx512, false) => x86::double512(),
                (InstructionSet::Avx2, true) => x86::single256(),
                (InstructionSet::Avx2, false) => x86::double256(),
                _ => return false,
            }
        }
        true
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _: (bool, InstructionSet) = (single, instruction_set());
        false
    }
}

/// Copies [`BYTES`].
pub fn copy(from: &[u64], to: &mut [u64]) {
    to.copy_from_slice(black_box(from));
    black_box(to);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// `$sums` chains of multiply-adds, enough for their latency and few enough for the registers.
    macro_rules! chains {
        ($name:ident, $features:literal, $lanes:literal, $sums:literal, $splat:ident, $fma:ident, $add:ident) => {
            #[target_feature(enable = $features)]
            pub fn $name() {
                let (a, b) = ($splat(black_box(0.999)), $splat(black_box(1e-3)));
                let mut sums = [b; $sums];
                for _ in 0..super::OPERATIONS / (2 * $lanes * $sums) {
                    for sum in &mut sums {
                        *sum = $fma(a, *sum, b);
                    }
                }
                black_box(sums.into_iter().reduce(|x, y| $add(x, y)));
            }
        };
    }

    chains!(single512, "avx512f", 16, 24, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps);
    chains!(double512, "avx512f", 8, 24, _mm512_set1_pd, _mm512_fmadd_pd, _mm512_add_pd);
    chains!(single256, "avx2,fma", 8, 12, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps);
    chains!(double256, "avx2,fma", 4, 12, _mm256_set1_pd, _mm256_fmadd_pd, _mm256_add_pd);
}
