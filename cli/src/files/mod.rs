//! Files: written whole or not at all, read with bounded memory and without trust.

pub mod atomic;
pub mod csv;
pub mod npy;
pub mod safetensors;
pub mod samples;

/// State of [`fnv1a_from`] before the first byte.
pub(crate) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits. Each step is a bijection of the state, so a single changed byte always changes the sum.
/// Source: <http://www.isthe.com/chongo/tech/comp/fnv/>.
pub(crate) fn fnv1a_from(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// FNV-1a of a whole file's bytes.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    fnv1a_from(FNV_START, bytes)
}
