//! What two independent populations of a search do not agree on.

/// A quantity that two independent populations of a search do not agree on.
#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement {
    /// Which.
    pub quantity: Quantity,
    /// Its value in each population.
    pub values: [f64; 2],
    /// The standard error of their difference.
    pub error: f64,
}

/// What two populations can disagree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// log Z.
    LogZ,
    /// The power of p that was reached: the second population did not end at p.
    Power,
    /// The mean of a coordinate, counted from 1.
    Mean(usize),
}

impl Disagreement {
    /// In numbers, for files: 0 for log Z, -1 for the power, else the coordinate; both values; the error.
    pub fn numbers(&self) -> [f64; 4] {
        let quantity = match self.quantity {
            Quantity::LogZ => 0.0,
            Quantity::Power => -1.0,
            Quantity::Mean(k) => k as f64,
        };
        [quantity, self.values[0], self.values[1], self.error]
    }

    /// What [`numbers`](Self::numbers) wrote; None for anything else.
    pub fn of_numbers([quantity, a, b, error]: [f64; 4]) -> Option<Self> {
        let quantity = match quantity {
            0.0 => Quantity::LogZ,
            -1.0 => Quantity::Power,
            k if k >= 1.0 && k <= f64::from(u32::MAX) && k.fract() == 0.0 => Quantity::Mean(k as usize),
            _ => return None,
        };
        Some(Self { quantity, values: [a, b], error })
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Quantity::LogZ => write!(f, "log Z"),
            Quantity::Power => write!(f, "power of p that was reached"),
            Quantity::Mean(k) => write!(f, "mean of coordinate {k}"),
        }
    }
}

impl std::fmt::Display for Disagreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Disagreement { quantity, values: [a, b], error } = self;
        let apart = match *error > 0.0 {
            true => format!(", {:.1} standard errors apart", ((a - b) / error).abs()),
            false => String::new(),
        };
        write!(
            f,
            "two searches disagree on the {quantity}: {a:.4e} and {b:.4e}{apart}; a mode may be missing or have a wrong mass"
        )
    }
}
