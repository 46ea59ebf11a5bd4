//! How raw scores become 0 to 100.

pub const HIGHEST: i64 = 100;

/// The highest becomes 100.
pub fn to_highest(mut scores: Vec<i64>) -> Vec<i64> {
    let highest = scores.iter().copied().max().unwrap_or(0);
    if highest > 0 {
        scores.iter_mut().for_each(|s| *s = *s * HIGHEST / highest);
    }
    scores
}

/// The highest becomes 0, and 0 becomes 100.
pub fn reversed(scores: Vec<i64>) -> Vec<i64> {
    let scaled = to_highest(scores).into_iter();
    scaled.map(|score| HIGHEST - score).collect()
}

/// The highest becomes 100, the lowest 0; all are 0 if they are equal.
pub fn from_lowest(mut scores: Vec<i64>) -> Vec<i64> {
    let highest = scores.iter().copied().max().unwrap_or(0);
    let lowest = scores.iter().copied().min().unwrap_or(0);
    let span = (highest - lowest).max(1);
    for score in &mut scores {
        *score = HIGHEST * (*score - lowest) / span;
    }
    scores
}
