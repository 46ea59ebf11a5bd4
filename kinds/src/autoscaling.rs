//! `autoscaling`: one kind in two versions, stored as v2.

pub mod v1;
pub mod v2;
