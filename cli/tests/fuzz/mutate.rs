//! Damaged inputs: a good one, changed a few times at random.

/// Random numbers (splitmix64; Steele, Lea and Flood, 2014).
pub struct Numbers(u64);

impl Numbers {
    /// Those of a key.
    pub fn new(key: u64) -> Self {
        Self(key.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to n - 1; 0 where n is 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Pieces of text at which readers of numbers, lists and tables stumble.
const PIECES: &[&str] = &[
    "0",
    "-1",
    "-0",
    "1e999",
    "-1e999",
    "1e-999",
    "nan",
    "inf",
    "-inf",
    "NaN",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "4294967296",
    "99999999999999999999999999",
    "1_000",
    "1.",
    ".5",
    "1e",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "\\ud800",
    "\n",
    "\r\n",
    "\0",
    "\t",
    ",",
    ",,",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "[]",
    "{}",
    "(",
    ")",
    "=",
    ":",
    "#",
    "--",
    "true",
    "null",
    "é",
    "\u{feff}",
    "𝄞",
    "1,2,3",
    "[1]",
    "[[1]]",
    "a.b = 1",
    "x = 1",
];

/// What is changed, and with what.
pub struct Mutator<'a> {
    /// Good inputs.
    pub seeds: &'a [Vec<u8>],
    /// Words that mean something to the parser.
    pub words: &'a [&'a str],
}

impl Mutator<'_> {
    /// Input number k: a seed with up to 8 changes (now and then none).
    pub fn input(&self, k: u64) -> Vec<u8> {
        let mut r = Numbers::new(k);
        let mut bytes = self.seeds[r.below(self.seeds.len())].clone();
        let changes = if r.below(3) > 0 { r.below(3) } else { r.below(9) };
        (0..changes).for_each(|_| self.change(&mut bytes, &mut r));
        bytes
    }

    fn change(&self, bytes: &mut Vec<u8>, r: &mut Numbers) {
        let at = r.below(bytes.len() + 1);
        let rest = bytes.len() - at;
        let length = if r.below(2) == 0 { 1 + r.below(8) } else { r.below(rest) }.min(rest);
        match r.below(10) {
            0 if rest > 0 => bytes[at] ^= 1 << r.below(8),
            1 if rest > 0 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'0', b' ', b'\n'][r.below(8)],
            2 => drop(bytes.drain(at..at + length)),
            3 => bytes.truncate(at),
            4 => {
                let copy = bytes[at..at + length].to_vec();
                let many = if r.below(8) == 0 { r.below(200) } else { 1 + r.below(3) };
                let copies = copy.repeat(many.min(1 + 100_000 / copy.len().max(1)));
                drop(bytes.splice(at..at, copies));
            }
            5 => {
                let other = &self.seeds[r.below(self.seeds.len())];
                let from = r.below(other.len());
                drop(bytes.splice(at..at + length, other[from..].iter().copied()));
            }
            6 if !self.words.is_empty() => self.put(bytes, at, 0, self.words[r.below(self.words.len())]),
            7 => self.replace_number(bytes, at, r),
            8 => self.put(bytes, at, length, PIECES[r.below(PIECES.len())]),
            _ => self.put(bytes, at, 0, PIECES[r.below(PIECES.len())]),
        }
    }

    fn put(&self, bytes: &mut Vec<u8>, at: usize, length: usize, piece: &str) {
        drop(bytes.splice(at..at + length, piece.bytes()));
    }

    /// The first run of digits from `at` on becomes another piece.
    fn replace_number(&self, bytes: &mut Vec<u8>, at: usize, r: &mut Numbers) {
        let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|k| at + k) else { return };
        let length = bytes[start..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        let bits = r.below(40);
        let number = r.below(1 << bits).to_string();
        let piece = if r.below(2) == 0 { PIECES[r.below(18)] } else { &number };
        self.put(bytes, start, length, piece);
    }
}
