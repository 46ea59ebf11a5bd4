//! Versions and releases, read and compared.

use std::fmt;
use std::str::FromStr;

use crate::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

/// What a server or a node says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    pub kubernetes: Version,
    /// None of others' servers.
    pub skiff: Option<Version>,
}

impl FromStr for Version {
    type Err = Error;

    /// Reads `1.2.3`; what follows a `-` or `+` does not matter here.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Version(text.to_owned());
        let numbers = text.split(['-', '+']).next().unwrap_or_default();
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let mut number = || numbers.next().flatten().ok_or_else(wrong);
        let version = Self {
            major: number()?,
            minor: number()?,
            patch: number()?,
        };
        match numbers.next() {
            None => Ok(version),
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Release {
    type Err = Error;

    /// Reads `v1.37.0+skiff-0.1.0`, and what other Kubernetes say.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Release(text.to_owned());
        let kubernetes = text.strip_prefix('v').ok_or_else(wrong)?;
        let kubernetes = kubernetes.parse().map_err(|_| wrong())?;
        let build = text.split_once('+').map_or("", |(_, build)| build);
        let skiff = build.strip_prefix("skiff");
        let skiff = skiff.and_then(|rest| rest.get(1..)?.parse().ok());
        Ok(Self { kubernetes, skiff })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.skiff {
            Some(skiff) => write!(f, "skiff {skiff} (Kubernetes v{})", self.kubernetes),
            None => write!(f, "Kubernetes v{}", self.kubernetes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("0.10.0") > version("0.9.9-rc1+x"));
        assert_eq!(version("1.2.3").to_string(), "1.2.3");
        for wrong in ["", "1.2", "1.2.3.4", "a.b.c", "1..3", "-1.0.0"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn releases_of_skiff_and_of_others_are_read() {
        let ours: Release = "v1.37.0+skiff-0.1.0".parse().unwrap();
        assert_eq!(ours.to_string(), "skiff 0.1.0 (Kubernetes v1.37.0)");
        let theirs: Release = "v1.36.2+k3s1".parse().unwrap();
        assert_eq!(theirs.to_string(), "Kubernetes v1.36.2");
        assert!("1.37.0".parse::<Release>().is_err());
        assert!("v1.37".parse::<Release>().is_err());
    }
}
