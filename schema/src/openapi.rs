//! OpenAPI documents of what is served, generated on demand; the caller caches.

/// One served resource, as discovery lists it.
#[derive(Clone, Debug)]
pub struct Resource<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub plural: &'a str,
    pub namespaced: bool,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verbs: Vec<&'a str>,
    pub subresources: Vec<Subresource<'a>>,
}

/// One subresource and the kind that it speaks.
#[derive(Clone, Debug)]
pub struct Subresource<'a> {
    pub name: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub verbs: Vec<&'a str>,
}

/// `/openapi/v2` in JSON.
pub fn v2(server_version: &str, resources: &[Resource<'_>]) -> Vec<u8> {
    let _ = (server_version, resources);
    todo!()
}

/// `/openapi/v2` as gnostic's protobuf message, which `kubectl` asks for.
pub fn v2_protobuf(server_version: &str, resources: &[Resource<'_>]) -> Vec<u8> {
    let _ = (server_version, resources);
    todo!()
}

/// `/openapi/v3/api/v1` or `/openapi/v3/apis/<group>/<version>` in JSON: the
/// document of the resources of one group and version.
pub fn v3(server_version: &str, group: &str, version: &str, resources: &[Resource<'_>]) -> Vec<u8> {
    let _ = (server_version, group, version, resources);
    todo!()
}

/// `/openapi/v3`: where the documents are. `hashes` are of paths such as
/// `apis/apps/v1`.
pub fn v3_index(hashes: &[(String, String)]) -> Vec<u8> {
    let _ = hashes;
    todo!()
}
