//! Keyed streams.

/// The generator behind every stream: PCG XSL RR 128/64 (O'Neill, 2014), portable by specification.
pub type Stream = rand_pcg::Pcg64;

/// What a stream is used for; streams of different purposes never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial parameters of a network.
    Initialise = 1,
    /// Latent points of a training batch.
    Latent = 2,
    /// Latent points of the independent batch behind a density estimate.
    Reference = 3,
    /// Gaussian jitter `ξ` of the smoothed velocity.
    Jitter = 4,
    /// Draws behind the smoothed score of a target without a closed form.
    Smoothing = 5,
    /// Samples that the user asked for.
    Sample = 6,
    /// Exact samples of a target.
    Exact = 7,
    /// Projections and resampling inside a metric.
    Metric = 8,
    /// Search for the centre and scale of a target.
    Probe = 9,
    /// Random instances in checks and tests.
    Check = 10,
    /// Particles of a flow at time 0.
    Particles = 11,
    /// Proposals of a Markov chain.
    Chain = 12,
    /// Draws behind the certificate of a generator.
    Certificate = 21,
    /// Elements of a group of symmetries.
    Group = 22,
}

/// Finaliser of splitmix64 (Steele, Lea and Flood, 2014): a bijection of u64 that mixes every bit into every bit.
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The stream of key `(seed, purpose, unit)`.
///
/// The key is hashed into all 256 bits of PCG's state and increment, because PCG streams that share a state are correlated.
pub fn stream(seed: u64, purpose: Purpose, unit: u64) -> Stream {
    let mut word = mix(seed);
    let mut next = |x: u64| {
        word = mix(word ^ mix(x));
        word
    };
    let (a, b, c, d) = (next(purpose as u64), next(unit), next(3), next(4));
    let wide = |hi: u64, lo: u64| (u128::from(hi) << 64) | u128::from(lo);
    Stream::new(wide(a, b), wide(c, d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    /// Checks that each part of the key matters, and that the key alone decides: a golden first draw.
    #[test]
    fn keys_separate_streams() {
        let first = |s, p, u| stream(s, p, u).next_u64();
        let base = first(1, Purpose::Latent, 0);
        assert_eq!(base, first(1, Purpose::Latent, 0));
        assert_ne!(base, first(2, Purpose::Latent, 0));
        assert_ne!(base, first(1, Purpose::Sample, 0));
        assert_ne!(base, first(1, Purpose::Latent, 1));
    }
}
