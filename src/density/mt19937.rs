//! The Mersenne twister, only to reproduce a published table of random means.

/// MT19937 with the state of `init_genrand(seed)` (Matsumoto and Nishimura, 1998; initialisation of 2002).
pub(crate) struct Mt19937 {
    state: [u32; 624],
    index: usize,
}

impl Mt19937 {
    pub(crate) fn new(seed: u32) -> Self {
        let mut state = [seed; 624];
        for i in 1..624 {
            let last = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(i as u32);
        }
        Self { state, index: 624 }
    }

    /// The recurrence x_{k+624} = x_{k+397} ⊕ (upper bit of x_k | lower bits of x_{k+1}) A, for all 624 words.
    fn twist(&mut self) {
        for i in 0..624 {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % 624] & 0x7fff_ffff);
            let a = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + 397) % 624] ^ (y >> 1) ^ a;
        }
        self.index = 0;
    }

    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.index == 624 {
            self.twist();
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A uniform variate in [0, 1) with 24 bits, as PyTorch draws its 32-bit floats: the low 24 bits times 2⁻²⁴.
    pub(crate) fn uniform_24(&mut self) -> f64 {
        f64::from(self.next_u32() & 0x00ff_ffff) / f64::from(1u32 << 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the generator by a published value: the 10000th output of seed 5489 is 4123659995 (ISO C++, [rand.predef], mt19937).
    #[test]
    fn ten_thousandth_output() {
        let mut rng = Mt19937::new(5489);
        (1..10_000).for_each(|_| {
            rng.next_u32();
        });
        assert_eq!(rng.next_u32(), 4_123_659_995);
    }
}
