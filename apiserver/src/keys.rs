//! Where objects lie in the store: `/registry/<prefix>/[<namespace>/]<name>`.

/// Everything of one kind lies under this.
pub fn kind(prefix: &str) -> Vec<u8> {
    format!("/registry/{prefix}/").into_bytes()
}

/// Everything of one kind in one namespace (or the whole cluster).
pub fn collection(prefix: &str, namespace: Option<&str>) -> Vec<u8> {
    match namespace {
        Some(namespace) => format!("/registry/{prefix}/{namespace}/").into_bytes(),
        None => kind(prefix),
    }
}

pub fn object(prefix: &str, namespace: Option<&str>, name: &str) -> Vec<u8> {
    let mut key = collection(prefix, namespace);
    key.extend_from_slice(name.as_bytes());
    key
}
