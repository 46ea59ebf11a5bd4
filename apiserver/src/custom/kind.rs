//! One version of a custom kind, as the server's handlers see kinds.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::{field, meta, names};
use custom::{Conversion, Definition, Stage, Version};
use jiff::Timestamp;
use kinds::scale::ScalePaths;
use kinds::{Column, Errors, Node as Place, Subresource, Verbs, columns, object_meta, prepare};
use schema::{Node, Problem};
use serde_json::Value;
use store::{Entry, Revision};
use tokio_util::sync::CancellationToken;

use crate::served::{Custom, Names, Rules, Served};
use crate::webhook::Endpoint;

/// In the order Kubernetes lists them for custom resources.
const VERBS: Verbs = &[
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];

/// What all versions of a custom kind share.
pub struct Family {
    pub definition: Definition,
    /// Objects written later have been through this very definition.
    pub since: Revision,
    /// Who converts, where a webhook does; or why it cannot.
    pub converter: Option<Result<Endpoint, String>>,
    /// The definition changed or is gone, or the server stops: watches end.
    pub over: CancellationToken,
}

impl Family {
    pub fn new(definition: Definition, since: Revision, over: CancellationToken) -> Self {
        let converter = match &definition.conversion {
            Conversion::None => None,
            Conversion::Webhook { client_config, .. } => {
                Some(Endpoint::read(client_config).map_err(|error| error.to_string()))
            }
        };
        Self {
            definition,
            since,
            converter,
            over,
        }
    }

    /// The kinds it serves now.
    pub fn served(self: &Arc<Self>) -> Vec<Served> {
        if self.definition.stage == Stage::Pending {
            return Vec::new();
        }
        let versions = self.definition.versions.iter();
        versions
            .filter(|version| version.is_served)
            .map(|version| Served::Custom(Arc::new(self.kind(version))))
            .collect()
    }

    fn kind(self: &Arc<Self>, version: &Arc<Version>) -> Custom {
        let definition = &self.definition;
        let names = &definition.names;
        let names = Names {
            group: definition.group.clone(),
            version: version.name.clone(),
            kind: names.kind.clone(),
            list_kind: names.list_kind.clone(),
            plural: names.plural.clone(),
            singular: names.singular.clone(),
            short_names: names.short_names.clone(),
            categories: names.categories.clone(),
        };
        Custom {
            is_namespaced: definition.is_namespaced,
            verbs: VERBS,
            prefix: definition.prefix(),
            rules: Box::new(Kind {
                names: names.clone(),
                is_namespaced: definition.is_namespaced,
                version: version.clone(),
            }),
            names,
            version: version.clone(),
            family: self.clone(),
        }
    }
}

impl Custom {
    /// Whether the stored bytes are what this version serves.
    pub fn is_current(&self, entry: &Entry) -> bool {
        self.version.is_storage && entry.modified > self.family.since
    }
}

struct Kind {
    names: Names,
    is_namespaced: bool,
    version: Arc<Version>,
}

impl Kind {
    /// What an object says that it is must be this: of another kind, the rest is not looked at.
    fn check_type(&self, object: &Value) -> Vec<field::Error> {
        let Names {
            group,
            version,
            kind,
            ..
        } = &self.names;
        let api_version = format!("{group}/{version}");
        let said = [
            ("kind", meta::kind(object), kind),
            ("apiVersion", meta::api_version(object), &api_version),
        ];
        let wrong = said.into_iter().filter(|(_, given, own)| given != own);
        wrong
            .map(|(field, given, own)| {
                let path = field::Path::new(field);
                field::Error::invalid(&path, given, format!("must be {own}"))
            })
            .collect()
    }
}

impl Rules for Kind {
    fn node(&self) -> &Node {
        &self.version.node
    }

    fn openapi(&self) -> &Value {
        &self.version.openapi
    }

    fn subresources(&self) -> Vec<Subresource<'_>> {
        let Names {
            group,
            version,
            kind,
            ..
        } = &self.names;
        let mut all = Vec::new();
        if self.version.has_status {
            all.push(Subresource::status((group, version, kind)));
        }
        if self.version.scale.is_some() {
            all.push(Subresource::scale());
        }
        all
    }

    fn columns(&self) -> Vec<Column<'_>> {
        let more = self.version.columns.iter().map(|column| Column {
            name: &column.name,
            data_type: &column.kind,
            format: &column.format,
            description: &column.description,
            priority: column.priority,
        });
        std::iter::once(columns::NAME).chain(more).collect()
    }

    fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let more = self.version.columns.iter();
        std::iter::once(columns::name(object))
            .chain(more.map(|column| column.cell(object, now)))
            .collect()
    }

    fn field<'a>(&self, object: &'a Value, label: &str) -> Option<Cow<'a, str>> {
        self.version.field(object, label)
    }

    fn scale(&self) -> Option<ScalePaths<'_>> {
        let scale = self.version.scale.as_ref()?;
        Some(ScalePaths {
            replicas: &scale.replicas,
            status_replicas: &scale.status_replicas,
            selector: &scale.selector,
            selector_is_map: false,
        })
    }

    fn fit(&self, object: &mut Value) -> Vec<Problem> {
        self.version.fit(object)
    }

    fn default(&self, object: &mut Value) {
        self.version.default(object);
    }

    // Kubernetes fills in defaults whenever it reads from its store: what was taken out
    // here has them in the answer already. So all three do it again, at their end:
    // a default alone is no new generation.
    fn prepare_create(&self, object: &mut Value) {
        if self.version.has_status {
            prepare::drop_status(object);
        }
        meta::set_meta(object, "generation", 1);
        self.version.default(object);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value) {
        if self.version.has_status {
            prepare::copy_field(new, old, "status");
        }
        prepare::bump_on_content(new, old);
        self.version.default(new);
    }

    /// Nothing but status, and who set it.
    fn prepare_status_update(&self, new: &mut Value, old: &Value) {
        let status = new.get_mut("status").map(Value::take);
        let owners = meta::remove_meta(new, "managedFields");
        *new = old.clone();
        if let (Some(owners), Some(_)) = (owners, new.get("metadata")) {
            meta::set_meta(new, "managedFields", owners);
        }
        match status {
            Some(status) => new["status"] = status,
            None => prepare::drop_status(new),
        }
        self.version.default(new);
    }

    fn check_create(&self, object: &Value) -> Vec<field::Error> {
        let of_type = self.check_type(object);
        if !of_type.is_empty() {
            return of_type;
        }
        let mut errors = Errors::default();
        let place = Place::root(object);
        let metadata = place.at("metadata");
        object_meta::validate(
            &metadata,
            self.is_namespaced,
            names::dns_subdomain,
            &mut errors,
        );
        errors.0.extend(self.version.check(object));
        errors.0
    }

    fn check_update(&self, new: &Value, old: &Value) -> Vec<field::Error> {
        let mut errors = Errors::default();
        let (place, before) = (Place::root(new), Place::root(old));
        object_meta::validate_update(&place.at("metadata"), &before.at("metadata"), &mut errors);
        let of_type = self.check_type(new);
        if !of_type.is_empty() {
            errors.0.extend(of_type);
            return errors.0;
        }
        // Kubernetes looks twice, as any kind's and as this kind's, and tells twice.
        errors.0.extend_from_within(..);
        errors.0.extend(self.version.check_change(new, old));
        errors.0
    }

    fn check_status_update(&self, new: &Value, old: &Value) -> Vec<field::Error> {
        self.check_update(new, old)
    }
}
