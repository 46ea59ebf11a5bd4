//! Names as lower-case labels.

use std::net::Ipv4Addr;

use hickory_proto::rr::Name;

/// The labels of a name, leftmost first.
#[derive(Debug)]
pub struct Labels(Vec<String>);

impl Labels {
    /// Bytes that are no text become a sign that no name of ours has.
    pub fn of(name: &Name) -> Self {
        let lower = |label: &[u8]| String::from_utf8_lossy(label).to_ascii_lowercase();
        Self(name.iter().map(lower).collect())
    }

    /// What stands before `domain`, if the name ends with it.
    pub fn below(mut self, domain: &Self) -> Option<Vec<String>> {
        let length = self.0.len().checked_sub(domain.0.len())?;
        (self.0[length..] == domain.0[..]).then(|| {
            self.0.truncate(length);
            self.0
        })
    }

    /// The address of `5.0.244.10.in-addr.arpa`.
    pub fn reversed_ip(&self) -> Option<Ipv4Addr> {
        match self.0.as_slice() {
            [d, c, b, a, in_addr, arpa] if in_addr == "in-addr" && arpa == "arpa" => {
                format!("{a}.{b}.{c}.{d}").parse().ok()
            }
            _ => None,
        }
    }
}

/// The address of `10-244-0-5`.
pub fn dashed_ip(label: &str) -> Option<Ipv4Addr> {
    label.replace('-', ".").parse().ok()
}

pub fn dashed(ip: Ipv4Addr) -> String {
    ip.to_string().replace('.', "-")
}
