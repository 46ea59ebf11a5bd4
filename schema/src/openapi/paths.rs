//! The paths of the served resources.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::operations::{COLLECTION, OBJECT, Subject, Verb};
use super::parameters::{self, COMMON};
use super::{Dialect, Resource, Sink, Subresource, definitions, names};

pub(super) fn emit(dialect: Dialect, resources: &[Resource<'_>], sink: &mut impl Sink) {
    let mut paths = Paths {
        dialect,
        items: BTreeMap::new(),
    };
    for resource in resources {
        paths.version(resource);
        paths.resource(resource);
    }
    for (path, item) in &paths.items {
        sink.path(path, item);
    }
}

struct Paths {
    dialect: Dialect,
    items: BTreeMap<String, Value>,
}

impl Paths {
    /// The discovery document of the resource's version.
    fn version(&mut self, resource: &Resource<'_>) {
        let base = names::base(resource.group, resource.version);
        let list = definitions::name("", "v1", "APIResourceList");
        let subject = Subject {
            definition: list.as_deref(),
            ..self.subject(resource, "")
        };
        let id = format!(
            "get{}APIResources",
            names::group_version(resource.group, resource.version)
        );
        let item = subject.read_only("get available resources", &id);
        self.items.entry(format!("{base}/")).or_insert(item);
    }

    fn resource(&mut self, resource: &Resource<'_>) {
        let base = names::base(resource.group, resource.version);
        let Resource { plural, kind, .. } = resource;
        let definition = definitions::name_of(resource);
        let (scope, scoped) = match resource.namespaced {
            true => (format!("{base}/namespaces/{{namespace}}"), "Namespaced"),
            false => (base.clone(), ""),
        };
        let id = format!("{scoped}{kind}");
        let subject = Subject {
            definition: definition.as_deref(),
            ..self.subject(resource, &id)
        };
        let collection = format!("{scope}/{plural}");
        self.put(&collection, subject, COLLECTION, &resource.verbs, resource);
        let named: Vec<_> = resource
            .verbs
            .iter()
            .copied()
            .filter(|v| *v != "create")
            .collect();
        let object = format!("{collection}/{{name}}");
        self.put(&object, subject, OBJECT, &named, resource);
        for subresource in &resource.subresources {
            self.subresource(&object, resource, subresource, &id);
        }
        if resource.namespaced {
            let id = format!("{kind}ForAllNamespaces");
            let subject = Subject { id: &id, ..subject };
            let verbs: Vec<_> = resource
                .verbs
                .iter()
                .copied()
                .filter(|v| *v == "list")
                .collect();
            self.put(
                &format!("{base}/{plural}"),
                subject,
                COLLECTION,
                &verbs,
                resource,
            );
        }
    }

    fn subresource(
        &mut self,
        object: &str,
        resource: &Resource<'_>,
        sub: &Subresource<'_>,
        id: &str,
    ) {
        let id = format!("{id}{}", names::capital(sub.name));
        let same =
            (sub.group, sub.version, sub.kind) == (resource.group, resource.version, resource.kind);
        let definition = match same {
            true => definitions::name_of(resource),
            false => definitions::name(sub.group, sub.version, sub.kind),
        };
        let subject = Subject {
            speaks: (sub.group, sub.version, sub.kind),
            definition: definition.as_deref(),
            ..self.subject(resource, &id)
        };
        let path = format!("{object}/{}", sub.name);
        self.put(&path, subject, OBJECT, &sub.verbs, resource);
    }

    fn subject<'a>(&self, resource: &Resource<'a>, id: &'a str) -> Subject<'a> {
        Subject {
            dialect: self.dialect,
            group: resource.group,
            version: resource.version,
            speaks: (resource.group, resource.version, resource.kind),
            definition: None,
            id,
            is_custom: resource.custom.is_some(),
        }
    }

    /// Adds the operations that `verbs` name; a path without any is none.
    fn put(
        &mut self,
        path: &str,
        subject: Subject<'_>,
        known: &[Verb],
        verbs: &[&str],
        resource: &Resource<'_>,
    ) {
        let served = known.iter().filter(|v| verbs.contains(&v.name));
        let operations = served.map(|v| (v.method.to_owned(), subject.operation(v)));
        let mut item: Map<String, Value> = operations.collect();
        if item.is_empty() {
            return;
        }
        let mut shared = Vec::new();
        if path.contains("{name}") {
            let description = format!("name of the {}", resource.kind);
            shared.push(parameters::path(self.dialect, "name", &description));
        }
        if path.contains("{namespace}") {
            shared.push(parameters::path(
                self.dialect,
                "namespace",
                "the namespace of the object",
            ));
        }
        shared.extend(parameters::query(self.dialect, COMMON));
        item.insert("parameters".to_owned(), Value::Array(shared));
        self.items.insert(path.to_owned(), Value::Object(item));
    }
}
