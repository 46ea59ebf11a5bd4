//! One operation on one path.

use serde_json::{Map, Value, json};

use super::parameters::{self, DELETE, DELETE_COLLECTION, LIST, PATCH, WRITE};
use super::{Dialect, names};

const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const PATCH_BODY: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";

const ANSWERS: &[&str] = &["application/json", "application/yaml"];
const STREAMS: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/json;stream=watch",
];
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
/// There is no strategic merge without Go types that say how: `kubectl apply` looks here.
const CUSTOM_PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];
const ANY: &[&str] = &["*/*"];

/// A verb of discovery, and what it is in OpenAPI.
#[derive(Clone, Copy)]
pub(super) struct Verb {
    /// Kubernetes' verb.
    pub name: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// `x-kubernetes-action`.
    action: &'static str,
    /// The first word of the operation's id.
    id: &'static str,
    /// What the description says it does.
    does: &'static str,
    query: &'static [(&'static str, &'static str, &'static str)],
    body: Body,
    answer: Answer,
}

#[derive(Clone, Copy, PartialEq)]
enum Body {
    None,
    Object,
    Patch,
    DeleteOptions,
}

#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Object(&'static [&'static str]),
    List,
    Status(&'static [&'static str]),
}

const fn verb(
    name: &'static str,
    [method, action, id, does]: [&'static str; 4],
    query: &'static [(&'static str, &'static str, &'static str)],
    body: Body,
    answer: Answer,
) -> Verb {
    Verb {
        name,
        method,
        action,
        id,
        does,
        query,
        body,
        answer,
    }
}

/// Verbs on all objects of a kind.
pub(super) const COLLECTION: &[Verb] = &[
    verb(
        "list",
        ["get", "list", "list", "list or watch objects of kind"],
        LIST,
        Body::None,
        Answer::List,
    ),
    verb(
        "create",
        ["post", "post", "create", "create a"],
        WRITE,
        Body::Object,
        Answer::Object(&["200", "201", "202"]),
    ),
    verb(
        "deletecollection",
        [
            "delete",
            "deletecollection",
            "deleteCollection",
            "delete collection of",
        ],
        DELETE_COLLECTION,
        Body::DeleteOptions,
        Answer::Status(&["200"]),
    ),
];

/// Verbs on one object or one of its subresources.
pub(super) const OBJECT: &[Verb] = &[
    verb(
        "get",
        ["get", "get", "read", "read the specified"],
        &[],
        Body::None,
        Answer::Object(&["200"]),
    ),
    verb(
        "create",
        ["post", "post", "create", "create"],
        WRITE,
        Body::Object,
        Answer::Object(&["200", "201", "202"]),
    ),
    verb(
        "update",
        ["put", "put", "replace", "replace the specified"],
        WRITE,
        Body::Object,
        Answer::Object(&["200", "201"]),
    ),
    verb(
        "delete",
        ["delete", "delete", "delete", "delete a"],
        DELETE,
        Body::DeleteOptions,
        Answer::Status(&["200", "202"]),
    ),
    verb(
        "patch",
        ["patch", "patch", "patch", "partially update the specified"],
        PATCH,
        Body::Patch,
        Answer::Object(&["200", "201"]),
    ),
];

/// What an operation is about.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub dialect: Dialect,
    /// The group and version that the path is in.
    pub group: &'a str,
    pub version: &'a str,
    /// The group, version and kind that is spoken.
    pub speaks: (&'a str, &'a str, &'a str),
    /// The definition of that kind, if there is one.
    pub definition: Option<&'a str>,
    /// What follows the verb in the operation's id: `NamespacedPodStatus`.
    pub id: &'a str,
    /// The resource is not built in.
    pub is_custom: bool,
}

impl Subject<'_> {
    pub(super) fn operation(&self, verb: &Verb) -> Value {
        let (group, version, kind) = self.speaks;
        // Options of a connection, not an object: the answer is a stream.
        let connects = self.definition.is_none();
        let action = if connects { "connect" } else { verb.action };
        let mut operation = json!({
            "description": format!("{} {kind}", verb.does),
            "tags": [names::tag(self.group, self.version)],
            "operationId": self.operation_id(verb, connects),
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
        });
        let mut query = parameters::query(self.dialect, if connects { &[] } else { verb.query });
        if !connects {
            self.add_body(verb, &mut operation, &mut query);
        }
        if !query.is_empty() {
            operation["parameters"] = Value::Array(query);
        }
        self.add_answers(verb, connects, &mut operation);
        operation
    }

    fn operation_id(&self, verb: &Verb, connects: bool) -> String {
        let version = names::group_version(self.group, self.version);
        match verb.id {
            _ if connects => format!("connect{version}{}{}", names::capital(verb.method), self.id),
            "deleteCollection" => format!("delete{version}Collection{}", self.id),
            id => format!("{id}{version}{}", self.id),
        }
    }

    fn add_body(&self, verb: &Verb, operation: &mut Value, parameters: &mut Vec<Value>) {
        let (definition, types) = match verb.body {
            Body::None => {
                self.consumes(operation, ANY);
                return;
            }
            Body::Object => (self.definition.unwrap_or(STATUS), ANY),
            Body::Patch if self.is_custom => (PATCH_BODY, CUSTOM_PATCHES),
            Body::Patch => (PATCH_BODY, PATCHES),
            Body::DeleteOptions => (DELETE_OPTIONS, ANY),
        };
        let schema = json!({"$ref": names::reference(self.dialect, definition)});
        let required = verb.body != Body::DeleteOptions;
        match self.dialect {
            Dialect::V2 => {
                let mut body = json!({"name": "body", "in": "body", "schema": schema});
                if required {
                    body["required"] = true.into();
                }
                parameters.insert(0, body);
                self.consumes(operation, types);
            }
            Dialect::V3 => {
                operation["requestBody"] = json!({"content": content(types, &schema)});
                if required {
                    operation["requestBody"]["required"] = true.into();
                }
            }
        }
    }

    fn consumes(&self, operation: &mut Value, types: &[&str]) {
        if self.dialect == Dialect::V2 {
            operation["consumes"] = json!(types);
        }
    }

    fn add_answers(&self, verb: &Verb, connects: bool, operation: &mut Value) {
        let definition = self.definition.unwrap_or_default();
        let list = format!("{definition}List");
        let (codes, definition): (&[&str], &str) = match verb.answer {
            _ if connects => (&["200"], ""),
            Answer::Object(codes) => (codes, definition),
            Answer::List => (&["200"], &list),
            Answer::Status(codes) => (codes, STATUS),
        };
        let types = match verb.answer {
            _ if connects => ANY,
            Answer::List => STREAMS,
            _ => ANSWERS,
        };
        let schema = if connects {
            json!({"type": "string"})
        } else {
            json!({"$ref": names::reference(self.dialect, definition)})
        };
        let mut responses = Map::new();
        for code in codes {
            responses.insert(
                (*code).to_owned(),
                self.response(reason(code), types, &schema),
            );
        }
        responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
        operation["responses"] = Value::Object(responses);
        if self.dialect == Dialect::V2 {
            operation["produces"] = json!(types);
            operation["schemes"] = json!(["https"]);
        }
    }

    fn response(&self, description: &str, types: &[&str], schema: &Value) -> Value {
        match self.dialect {
            Dialect::V2 => json!({"description": description, "schema": schema}),
            Dialect::V3 => json!({"description": description, "content": content(types, schema)}),
        }
    }

    /// A GET of something that is no resource: discovery, for instance.
    pub(super) fn read_only(&self, description: &str, id: &str) -> Value {
        let schema =
            json!({"$ref": names::reference(self.dialect, self.definition.unwrap_or_default())});
        let mut operation = json!({
            "description": description,
            "tags": [names::tag(self.group, self.version)],
            "operationId": id,
            "responses": {
                "200": self.response("OK", ANSWERS, &schema),
                "401": {"description": "Unauthorized"},
            },
        });
        if self.dialect == Dialect::V2 {
            operation["consumes"] = json!(ANSWERS);
            operation["produces"] = json!(ANSWERS);
            operation["schemes"] = json!(["https"]);
        }
        json!({"get": operation})
    }
}

fn reason(code: &str) -> &'static str {
    match code {
        "201" => "Created",
        "202" => "Accepted",
        _ => "OK",
    }
}

fn content(types: &[&str], schema: &Value) -> Value {
    let content = types
        .iter()
        .map(|t| ((*t).to_owned(), json!({"schema": schema})));
    Value::Object(content.collect())
}
