//! What expressions about admission may ask: the environments of match conditions and
//! policies, and the types of what Kubernetes itself puts into them.

use crate::environment::Environment;
use crate::types::Type;

/// `matchConditions` of webhooks.
pub fn match_conditions() -> Environment {
    Environment::new()
        .with("object", Type::Dyn)
        .with("oldObject", Type::Dyn)
        .with("request", request())
        .with_authorizer()
}

/// What policies ask; `params` where they have a `paramKind`.
pub fn policy(has_params: bool) -> Environment {
    let environment = match_conditions().with("namespaceObject", namespace());
    match has_params {
        true => environment.with("params", Type::Dyn),
        false => environment,
    }
}

/// What changes an object: mutations are built where conditions are asked.
pub fn apply_configuration(environment: Environment) -> Environment {
    environment
        .building_objects()
        .returning(Type::object("Object", []))
}

pub fn json_patch(environment: Environment) -> Environment {
    environment
        .building_objects()
        .returning(Type::list(Type::object("JSONPatch", [])))
}

fn request() -> Type {
    let texts = || Type::list(Type::String);
    let kind = || {
        let fields = ["group", "version", "kind"];
        Type::object(
            "kubernetes.GroupVersionKind",
            fields.map(|f| (f, Type::String)),
        )
    };
    let resource = || {
        let fields = ["group", "version", "resource"];
        Type::object(
            "kubernetes.GroupVersionResource",
            fields.map(|f| (f, Type::String)),
        )
    };
    let user = Type::object(
        "kubernetes.UserInfo",
        [
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", texts()),
            ("extra", Type::map(texts())),
        ],
    );
    Type::object(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind()),
            ("resource", resource()),
            ("subResource", Type::String),
            ("requestKind", kind()),
            ("requestResource", resource()),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}

fn namespace() -> Type {
    let texts = || Type::map(Type::String);
    let metadata = Type::object(
        "kubernetes.NamespaceMetadata",
        [
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", texts()),
            ("annotations", texts()),
            ("UID", Type::String),
            ("uid", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", Type::list(Type::String)),
        ],
    );
    let spec = Type::object(
        "kubernetes.NamespaceSpec",
        [("finalizers", Type::list(Type::String))],
    );
    let status = Type::object("kubernetes.NamespaceStatus", [("phase", Type::String)]);
    Type::object(
        "kubernetes.Namespace",
        [
            ("apiVersion", Type::String),
            ("kind", Type::String),
            ("metadata", metadata),
            ("spec", spec),
            ("status", status),
        ],
    )
}
