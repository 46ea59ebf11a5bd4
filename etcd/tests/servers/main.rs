//! Two API servers on one etcd behave as one.

#[cfg(test)]
mod agreement;
#[cfg(test)]
#[path = "../backend/member.rs"]
mod member;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod pair;
