//! The API as clients see it: a real server and store in a temporary directory.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
mod access;
mod aggregation;
mod audit;
mod authorization;
mod bypasses;
mod cluster;
mod custom;
mod deletes;
mod discovery;
mod encryption;
mod evictions;
mod extension;
mod identities;
mod interrupted;
mod listen;
mod objects;
mod plugins;
mod pod_security;
mod policies;
mod protobuf;
mod proxying;
mod races;
mod storage;
mod strictness;
mod tokens;
mod watches;
mod webhooks;
