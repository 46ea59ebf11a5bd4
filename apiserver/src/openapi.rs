//! `/openapi/v2` and `/openapi/v3`, made from the schemas on first use.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash as _, Hasher as _};
use std::sync::{OnceLock, PoisonError, RwLock};

use apimachinery::Status;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use schema::openapi;

use crate::aggregation::Remotes;
use crate::api::{Api, Call};
use crate::body::Body;
use crate::paths::git_version;
use crate::resources::PerTable;
use crate::respond;
use crate::served::Served;

const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// As clients ask for it; the answer is never named so, for `@` may not be in a media type.
const PROTOBUF_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

#[derive(Default)]
pub struct OpenApi {
    documents: PerTable<Documents>,
}

#[derive(Default)]
struct Documents {
    v2: OnceLock<Bytes>,
    v2_protobuf: OnceLock<Bytes>,
    /// By `<group>/<version>`.
    v3: RwLock<HashMap<String, Bytes>>,
}

impl OpenApi {
    pub fn answer(&self, api: &Api, call: &Call, path: &str) -> Result<Response<Body>, Status> {
        let table = api.resources.table();
        let documents = self.documents.get(table.clone(), |_| Documents::default());
        match path {
            "/openapi/v2" => Ok(documents.v2(table.all(), call)),
            "/openapi/v3" => Ok(respond::json(
                StatusCode::OK,
                index(table.all(), &api.aggregation.remotes()),
            )),
            _ => documents.v3(table.all(), path),
        }
    }
}

impl Documents {
    fn v2(&self, kinds: &[Served], call: &Call) -> Response<Body> {
        let accept = call
            .headers
            .get(header::ACCEPT)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("");
        let made = || served(kinds);
        if accept.contains(PROTOBUF) || accept.contains(PROTOBUF_ASKED) {
            let bytes = self
                .v2_protobuf
                .get_or_init(|| openapi::v2_protobuf(&git_version(), &made()).into());
            let kind = HeaderValue::from_static(PROTOBUF);
            return respond::with(StatusCode::OK, kind, bytes.clone());
        }
        let bytes = self
            .v2
            .get_or_init(|| openapi::v2(&git_version(), &made()).into());
        respond::json(StatusCode::OK, bytes.clone())
    }

    fn v3(&self, kinds: &[Served], path: &str) -> Result<Response<Body>, Status> {
        let wanted = path.trim_start_matches("/openapi/v3/");
        let (group, version) = match wanted.split('/').collect::<Vec<_>>().as_slice() {
            ["api", version] => ("", *version),
            ["apis", group, version] => (*group, *version),
            _ => return Ok(respond::page_not_found()),
        };
        if !kinds
            .iter()
            .any(|k| k.group() == group && k.version() == version)
        {
            return Ok(respond::page_not_found());
        }
        let key = format!("{group}/{version}");
        if let Some(known) = self
            .v3
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Ok(respond::json(StatusCode::OK, known.clone()));
        }
        let made = Bytes::from(openapi::v3(&git_version(), group, version, &served(kinds)));
        self.v3
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, made.clone());
        Ok(respond::json(StatusCode::OK, made))
    }
}

/// Clients keep a document until its hash changes: that is when the server does.
fn index(kinds: &[Served], remotes: &Remotes) -> Vec<u8> {
    let mut paths: BTreeMap<String, DefaultHasher> = BTreeMap::new();
    for kind in kinds {
        let path = match kind.group() {
            "" => format!("api/{}", kind.version()),
            group => format!("apis/{group}/{}", kind.version()),
        };
        let hash = paths.entry(path).or_insert_with(|| {
            let mut hash = DefaultHasher::new();
            git_version().hash(&mut hash);
            hash
        });
        if let Some(schema) = kind.openapi() {
            kind.plural().hash(hash);
            schema.to_string().hash(hash);
        }
    }
    for remote in remotes.values() {
        let path = format!("apis/{}/{}", remote.group, remote.version);
        let mut hash = DefaultHasher::new();
        if let Some(resources) = &remote.resources {
            resources.to_string().hash(&mut hash);
        }
        paths.insert(path, hash);
    }
    let hashes: Vec<(String, String)> = paths
        .into_iter()
        .map(|(path, hash)| (path, format!("{:016X}", hash.finish())))
        .collect();
    openapi::v3_index(&hashes)
}

fn served(kinds: &[Served]) -> Vec<openapi::Resource<'_>> {
    kinds
        .iter()
        .map(|kind| openapi::Resource {
            group: kind.group(),
            version: kind.version(),
            kind: kind.kind(),
            plural: kind.plural(),
            namespaced: kind.is_namespaced(),
            verbs: kind.verbs().to_vec(),
            custom: kind.openapi(),
            subresources: kind
                .subresources()
                .iter()
                .map(|sub| openapi::Subresource {
                    name: sub.name,
                    group: sub.group,
                    version: sub.version,
                    kind: sub.kind,
                    verbs: sub.verbs.to_vec(),
                })
                .collect(),
        })
        .collect()
}
