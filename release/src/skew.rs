//! Kubernetes' policy of version skew: a node is at most three minor versions
//! older than its server, and never newer.

use crate::Release;

const OLDER_AT_MOST: u32 = 3;

/// How an agent's release fits its server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Good,
    /// It may work; nobody promises it.
    TooOld,
    /// It may ask for what the server does not have.
    Newer,
}

/// Patches do not matter.
pub fn fit(agent: &Release, server: &Release) -> Fit {
    let minor = |version: crate::Version| (version.major, version.minor);
    let kubernetes = of_minors(minor(agent.kubernetes), minor(server.kubernetes));
    let skiff = match (agent.skiff, server.skiff) {
        (Some(agent), Some(server)) => of_minors(minor(agent), minor(server)),
        _ => Fit::Good,
    };
    match (kubernetes, skiff) {
        (Fit::Newer, _) | (_, Fit::Newer) => Fit::Newer,
        (Fit::TooOld, _) | (_, Fit::TooOld) => Fit::TooOld,
        (Fit::Good, Fit::Good) => Fit::Good,
    }
}

fn of_minors(agent: (u32, u32), server: (u32, u32)) -> Fit {
    if agent > server {
        Fit::Newer
    } else if agent.0 < server.0 || server.1 - agent.1 > OLDER_AT_MOST {
        Fit::TooOld
    } else {
        Fit::Good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit_of(agent: &str, server: &str) -> Fit {
        fit(&agent.parse().unwrap(), &server.parse().unwrap())
    }

    #[test]
    fn an_agent_is_never_newer_and_up_to_three_minors_older() {
        let server = "v1.37.0+skiff-0.5.0";
        for (agent, expected) in [
            ("v1.37.0+skiff-0.5.0", Fit::Good),
            ("v1.37.9+skiff-0.5.9", Fit::Good),
            ("v1.36.0+skiff-0.4.0", Fit::Good),
            ("v1.34.0+skiff-0.2.0", Fit::Good),
            ("v1.33.0+skiff-0.5.0", Fit::TooOld),
            ("v1.37.0+skiff-0.1.0", Fit::TooOld),
            ("v1.38.0+skiff-0.5.0", Fit::Newer),
            ("v1.37.0+skiff-0.6.0", Fit::Newer),
            ("v1.37.0+skiff-1.0.0", Fit::Newer),
        ] {
            assert_eq!(fit_of(agent, server), expected, "{agent}");
        }
    }

    #[test]
    fn of_another_kind_of_server_its_kubernetes_counts() {
        assert_eq!(fit_of("v1.37.0+skiff-0.5.0", "v1.37.2"), Fit::Good);
        assert_eq!(fit_of("v1.37.0+skiff-0.5.0", "v1.36.2"), Fit::Newer);
    }
}
