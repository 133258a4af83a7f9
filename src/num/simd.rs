//! One body, three instruction sets: run-time dispatch of plain loops that the compiler vectorises.
//!
//! A kernel is a struct that holds its arguments and one `#[inline(always)]` body of plain loops. The body is compiled
//! three times, inside functions that carry a `#[target_feature]`, and [`dispatch`] picks the widest set that the
//! machine has. In the body, take multiply-add from [`Real::fused`](crate::num::Real::fused) and elementary functions from the `*_body` methods
//! of [`Real`](crate::num::Real), mark helper functions `#[inline(always)]`, and prefer `for` loops to closures (a closure that is not inlined
//! falls back to the portable set).
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use std::ffi::OsStr;
use std::sync::OnceLock;

/// The environment variable that chooses another instruction set than the widest one, to compare bits and times on one machine.
///
/// | value | kernels | matrix products |
/// |---|---|---|
/// | `avx512` | 512-bit vectors, fused multiply-add | own tiles of 512 bits, `matrixmultiply` for large factors |
/// | `avx2` | 256-bit vectors, fused multiply-add: the bits of `avx512` | own tiles of 256 bits, `matrixmultiply` for large factors |
/// | `portable` | what every machine of the target has; products and sums round separately | `matrixmultiply`, by what the machine has |
/// | `strict` | as `portable` | plain loops: the same bits on every machine, at several times the cost |
///
/// It is read once. A value that is unknown, or that this machine cannot run, is an error of [`check_isa`], which a program asks before it
/// computes (the command does); kernels that run without that question take the widest set, as if nothing were set.
pub const ISA: &str = "PUSHFORWARD_ISA";

/// A computation whose body is compiled once for each instruction set.
///
/// ```
/// use pushforward::num::{Kernel, Real, dispatch};
///
/// /// y ← a x + y
/// struct Axpy<'a, T>(T, &'a [T], &'a mut [T]);
///
/// impl<T: Real> Kernel for Axpy<'_, T> {
///     type Output = ();
///     #[inline(always)]
///     fn run<const FMA: bool>(self) {
///         for (y, &x) in self.2.iter_mut().zip(self.1) {
///             *y = x.fused::<FMA>(self.0, *y);
///         }
///     }
/// }
///
/// let mut y = [1.0, 1.0, 1.0];
/// dispatch(Axpy(2.0, &[1.0, 2.0, 3.0], &mut y));
/// assert_eq!(y, [3.0, 5.0, 7.0]);
/// ```
pub trait Kernel {
    /// What the body returns.
    type Output;
    /// The body; mark it `#[inline(always)]`. `FMA` says whether a fused multiply-add is one instruction here.
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstructionSet {
    /// What every machine of the target has; multiply and add round separately.
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors with fused multiply-add.
    Avx512,
}

impl InstructionSet {
    /// Its value of [`ISA`].
    pub fn name(self) -> &'static str {
        match self {
            InstructionSet::Portable => "portable",
            InstructionSet::Avx2 => "avx2",
            InstructionSet::Avx512 => "avx512",
        }
    }

    /// Whether this machine can run it. The standard library remembers the answer, so asking is free.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            InstructionSet::Portable => true,
            InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            InstructionSet::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("popcnt")
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == InstructionSet::Portable
        }
    }
}

/// The instruction sets that this machine can run, narrowest first.
pub fn instruction_sets() -> Vec<InstructionSet> {
    [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512]
        .into_iter()
        .filter(|s| s.is_available())
        .collect()
}

/// What a value of [`ISA`] asks for: an instruction set, and whether strictly.
fn asked(value: Option<&OsStr>) -> Result<(InstructionSet, bool)> {
    let set = match value.unwrap_or_default().to_string_lossy().as_ref() {
        "" => instruction_sets()[instruction_sets().len() - 1],
        "strict" => return Ok((InstructionSet::Portable, true)),
        "portable" => InstructionSet::Portable,
        "avx2" => InstructionSet::Avx2,
        "avx512" => InstructionSet::Avx512,
        other => {
            let what = format!("{ISA} = {other:?} names no instruction set");
            return Err(Error::Unsupported {
                what,
                remedy: "choose strict, portable, avx2 or avx512, or leave it unset",
            });
        }
    };
    if !set.is_available() {
        let what = format!("{ISA} = {} asks for what this processor has not", set.name());
        return Err(Error::Unsupported { what, remedy: "choose one of `pushforward list machine`, or leave it unset" });
    }
    Ok((set, false))
}

/// What this process runs on, from its first question on.
fn choice() -> &'static Result<(InstructionSet, bool)> {
    static CHOICE: OnceLock<Result<(InstructionSet, bool)>> = OnceLock::new();
    CHOICE.get_or_init(|| asked(std::env::var_os(ISA).as_deref()))
}

/// Whether [`ISA`] names an instruction set that this machine can run, or is not set. Ask before the first computation: kernels take the widest
/// set where it does not.
pub fn check_isa() -> Result<()> {
    choice().clone().map(|_| ())
}

/// Whether this process is in strict mode, `PUSHFORWARD_ISA=strict`.
///
/// Then kernels run on [`InstructionSet::Portable`] and products as plain loops, so that their bits are those of any machine with IEEE
/// arithmetic, whatever its instruction sets, at several times the cost. Elementary functions outside kernels are those of this module, which
/// have the same bits everywhere, strict or not.
pub fn strict() -> bool {
    matches!(choice(), Ok((_, true)))
}

/// The instruction set that [`dispatch`] takes: that of [`ISA`], else the widest of this machine.
pub fn instruction_set() -> InstructionSet {
    choice().as_ref().map_or_else(|_| instruction_sets()[instruction_sets().len() - 1], |&(set, _)| set)
}

/// Runs a kernel on [`instruction_set`].
///
/// Avx2 and Avx512 give the same bits wherever the body does not depend on lanes; Portable rounds differently.
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_on(instruction_set(), kernel)
}

/// Runs a kernel on a given instruction set, to compare them; panics where the machine lacks it.
pub fn dispatch_on<K: Kernel>(set: InstructionSet, kernel: K) -> K::Output {
    assert!(set.is_available(), "this machine has no {set:?}; it has {:?}", instruction_sets());
    match set {
        // SAFETY: the assertion above found every feature that the callee was compiled for.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { avx512(kernel) },
        // SAFETY: the same.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { avx2(kernel) },
        _ => kernel.run::<false>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma,popcnt")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<true>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Real;

    /// Says whether it was compiled with FMA, and rounds 1 - (1 + e)(1 - e) once or twice.
    struct Probe(f64);

    impl Kernel for Probe {
        type Output = (bool, f64);
        #[inline(always)]
        fn run<const FMA: bool>(self) -> (bool, f64) {
            (FMA, (1.0 + self.0).fused::<FMA>(-(1.0 - self.0), 1.0))
        }
    }

    /// Checks that each instruction set runs the body it claims: with FMA, 1 - (1 + e)(1 - e) = e² survives; without, it is 0.
    #[test]
    fn shells_fuse_as_they_say() {
        let e = 2f64.powi(-40);
        assert_eq!(instruction_sets()[0], InstructionSet::Portable);
        for set in instruction_sets() {
            let fused = set != InstructionSet::Portable;
            assert_eq!(dispatch_on(set, Probe(e)), (fused, if fused { e * e } else { 0.0 }), "{set:?}");
        }
        assert_eq!(dispatch(Probe(e)), dispatch_on(instruction_set(), Probe(e)));
    }

    /// Checks that each value of the variable is read as documented, that nothing is the widest set, and that a value that is unknown or not of
    /// this machine is refused with the value in the sentence.
    #[test]
    fn values_of_the_variable() {
        let asked = |value: &str| asked(Some(OsStr::new(value)));
        assert_eq!(asked("strict"), Ok((InstructionSet::Portable, true)));
        for set in [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512] {
            match asked(set.name()) {
                Ok(found) => assert!(found == (set, false) && set.is_available()),
                Err(e) => assert!(!set.is_available() && e.to_string().contains(set.name()), "{e}"),
            }
        }
        assert_eq!(super::asked(None), Ok((*instruction_sets().last().unwrap(), false)));
        assert_eq!(asked(""), super::asked(None));
        for unknown in ["AVX2", "sse", "1"] {
            assert!(asked(unknown).unwrap_err().to_string().contains(unknown));
        }
    }
}
