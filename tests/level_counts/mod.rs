//! Steps that a method takes to each of some levels.

/// Steps until a figure is below each level.
pub fn counts(levels: &[f64], most: usize, mut next: impl FnMut() -> f64) -> Vec<usize> {
    let mut found = Vec::new();
    for step in 1..=most {
        let value = next();
        while found.len() < levels.len() && value < levels[found.len()] {
            found.push(step);
        }
        if found.len() == levels.len() {
            break;
        }
    }
    found
}
