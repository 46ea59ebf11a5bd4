//! How the room on a node is rated: as a profile's `NodeResourcesFitArgs` say.

use crate::requests::Resource;

#[derive(Debug, Clone)]
pub struct Scoring {
    pub strategy: Strategy,
    /// With weights.
    pub resources: Vec<(Resource, i64)>,
}

#[derive(Debug, Clone)]
pub enum Strategy {
    LeastAllocated,
    MostAllocated,
    /// Scores, 0 to 10, by the share in use, in percent; linear in between.
    Ratio(Vec<(i64, i64)>),
}

impl Default for Scoring {
    fn default() -> Self {
        Self {
            strategy: Strategy::LeastAllocated,
            resources: vec![(Resource::Cpu, 1), (Resource::Memory, 1)],
        }
    }
}

impl Strategy {
    /// 0 to 100 for a node where `used` of `have` would be in use.
    pub fn rate(&self, used: i64, have: i64) -> i64 {
        let percent = |part: i64| {
            let percent = i128::from(part) * 100 / i128::from(have.max(1));
            i64::try_from(percent).unwrap_or(100)
        };
        match self {
            Self::LeastAllocated if used > have => 0,
            Self::LeastAllocated => percent(have - used),
            Self::MostAllocated => percent(used.min(have)),
            Self::Ratio(shape) => on_shape(shape, percent(used.min(have))),
        }
    }
}

fn on_shape(shape: &[(i64, i64)], share: i64) -> i64 {
    let Some(after) = shape.iter().position(|(at, _)| share <= *at) else {
        return shape.last().map_or(0, |(_, score)| score * 10);
    };
    let (to, high) = shape[after];
    if after == 0 {
        return high * 10;
    }
    let (from, low) = shape[after - 1];
    (low * 10) + (high - low) * 10 * (share - from) / (to - from).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_strategy_rates_by_its_own_measure() {
        let ratio = Strategy::Ratio(vec![(0, 0), (50, 10), (100, 5)]);
        let rated = [
            (Strategy::LeastAllocated, 1, 75),
            (Strategy::LeastAllocated, 5, 0),
            (Strategy::MostAllocated, 1, 25),
            (Strategy::MostAllocated, 9, 100),
            (ratio.clone(), 0, 0),
            (ratio.clone(), 1, 50),
            (ratio.clone(), 2, 100),
            (ratio, 3, 75),
        ];
        for (strategy, used, score) in rated {
            assert_eq!(strategy.rate(used, 4), score, "{strategy:?} {used}");
        }
    }
}
