//! The Kubernetes REST API over a [`store::Store`].
//!
//! An object is stored as the exact JSON bytes that are served, so that GET, LIST
//! and WATCH copy bytes. A kind is an entry in the table of `kinds`, not a file of
//! handlers; the way of a request is authenticate, authorize, route, answer
//! (`api.rs`), the way of a write is decode, default, admit, validate, store
//! (`registry/`). `docs/design/apiserver.md` is the page about it.
//!
//! This crate runs nothing: no controllers, no scheduler, no garbage collection.

mod access;
mod admission;
mod aggregation;
mod api;
pub mod audit;
mod authn;
mod authz;
mod body;
mod bootstrap;
mod bounds;
mod bytes_json;
mod connection;
mod custom;
mod discovery;
mod dispatch;
mod error;
mod events;
mod form;
mod health;
mod inprocess;
mod keys;
mod masters;
mod metrics;
mod mirror;
mod negotiate;
mod notes;
mod openapi;
mod packed;
mod paths;
mod peer;
mod proxy;
mod query;
mod registry;
mod resources;
mod respond;
mod reviews;
mod route;
mod sealed;
mod served;
mod server;
mod service_range;
mod storage;
mod subresources;
mod table;
mod tls;
mod traced;
mod user;
mod watch;
mod webhook;

pub use access::Access;
pub use aggregation::Aggregator;
pub use authn::StaticToken;
pub use authn::front_proxy::FrontProxy;
pub use authn::oidc::Issuer;
pub use authn::webhook::TokenWebhook;
pub use authz::webhook::AuthorizationWebhook;
pub use error::Error;
pub use server::{Certificates, Config, KeyPair, KubeletAccess, Server};
pub use user::User;
