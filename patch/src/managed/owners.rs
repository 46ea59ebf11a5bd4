//! The entries of `managedFields`.

use serde_json::Value;

use super::claim::Claim;
use super::{Writer, strip};
use crate::typed::Comparison;
use crate::{Conflict, FieldSet};

/// As many `Update` entries one object keeps; older ones are joined.
const MAX_UPDATERS: usize = 10;

/// What joined entries are called.
const ANCIENT: &str = "ancient-changes";

/// A hostile client may send many entries.
const MAX_ENTRIES: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// One entry: somebody and the fields that they own.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    pub subresource: String,
    pub time: String,
    pub fields: Claim,
}

impl Owner {
    pub(crate) fn new(writer: &Writer<'_>, operation: Operation, fields: Claim) -> Self {
        Self {
            manager: writer.manager.to_owned(),
            operation,
            api_version: writer.api_version.to_owned(),
            subresource: writer.subresource.to_owned(),
            time: writer.time.to_owned(),
            fields,
        }
    }

    fn decode(entry: &Value) -> Option<Self> {
        let text = |name: &str| match entry.get(name) {
            None | Some(Value::Null) => Some(String::new()),
            Some(value) => value.as_str().map(str::to_owned),
        };
        let operation = match entry.get("operation")?.as_str()? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        if entry.get("fieldsType").is_some_and(|t| t != "FieldsV1") {
            return None;
        }
        Some(Self {
            manager: text("manager")?,
            operation,
            api_version: text("apiVersion")?,
            subresource: text("subresource")?,
            time: text("time")?,
            fields: match entry.get("fieldsV1") {
                Some(fields) => Claim::decode(fields)?,
                None => Claim::default(),
            },
        })
    }

    /// The entry as it is written.
    fn encode(self) -> Value {
        let unless_empty = |text: String| (!text.is_empty()).then(|| text.into());
        // In order, since a map of entries in order is built at once.
        let entry = [
            ("apiVersion", Some(self.api_version.into())),
            ("fieldsType", Some("FieldsV1".into())),
            ("fieldsV1", Some(self.fields.encode())),
            ("manager", Some(self.manager.into())),
            ("operation", Some(self.operation.name().into())),
            ("subresource", unless_empty(self.subresource)),
            ("time", unless_empty(self.time)),
        ];
        let entry = entry.into_iter();
        let set = entry.filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(set.collect())
    }

    /// Appliers are one owner whatever version they speak, updaters are not.
    pub(crate) fn is(&self, writer: &Writer<'_>, operation: Operation) -> bool {
        self.operation == operation
            && self.manager == writer.manager
            && self.subresource == writer.subresource
            && (operation == Operation::Apply || self.api_version == writer.api_version)
    }

    fn rank(&self) -> (Operation, [&str; 4]) {
        let texts = [
            &*self.time,
            &*self.manager,
            &*self.api_version,
            &*self.subresource,
        ];
        (self.operation, texts)
    }

    fn is_identity_of(&self, other: &Self) -> bool {
        self.operation == other.operation
            && self.manager == other.manager
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }
}

/// The entries of an object that one update made, of encoded fields.
pub(super) fn sole(writer: &Writer<'_>, fields: Value) -> Value {
    let owner = Owner::new(writer, Operation::Update, Claim::Encoded(fields));
    Value::Array(vec![owner.encode()])
}

/// All entries of one object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owners(Vec<Owner>);

impl Owners {
    /// The entries of an object; `None` when one is malformed.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let entries = match &object["metadata"]["managedFields"] {
            Value::Null => return Some(Self::default()),
            Value::Array(entries) if entries.len() <= MAX_ENTRIES => entries,
            _ => return None,
        };
        let mut owners = Self::default();
        for entry in entries {
            owners.add(Owner::decode(entry)?);
        }
        owners.drop_empty();
        Some(owners)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Owner> {
        self.0.iter()
    }

    /// Adds an entry, to one of the same owner if there is one.
    pub(crate) fn add(&mut self, owner: Owner) {
        match self.0.iter_mut().find(|o| o.is_identity_of(&owner)) {
            Some(known) => {
                known.fields.extend(owner.fields);
                known.time = owner.time;
            }
            None => self.0.push(owner),
        }
    }

    /// Takes an owner's entry out.
    pub(crate) fn take(&mut self, writer: &Writer<'_>, operation: Operation) -> Option<Owner> {
        let at = self.0.iter().position(|o| o.is(writer, operation))?;
        Some(self.0.remove(at))
    }

    /// After an update: what changed is the writer's alone, what is gone is nobody's.
    pub(crate) fn transfer(&mut self, writer: &Writer<'_>, mut difference: Comparison) {
        self.lose(&difference);
        strip(&mut difference.changed);
        if !difference.changed.is_empty() {
            let changed = difference.changed.into();
            self.add(Owner::new(writer, Operation::Update, changed));
        }
    }

    pub(crate) fn lose(&mut self, difference: &Comparison) {
        for owner in &mut self.0 {
            owner.fields.subtract(&difference.changed);
            owner.fields.subtract(&difference.removed);
        }
        self.drop_empty();
    }

    fn drop_empty(&mut self) {
        self.0.retain(|owner| !owner.fields.is_empty());
    }

    /// The owned fields among those that changed, one conflict a field.
    pub(crate) fn conflicts(&self, changed: &FieldSet) -> Vec<Conflict> {
        let mut owners: Vec<_> = self.0.iter().collect();
        owners.sort_by_key(|o| (&o.manager, &o.operation, &o.api_version, &o.subresource));
        let conflicts = owners.into_iter().flat_map(|owner| {
            let fields = owner.fields.set().intersection(changed).paths();
            fields.into_iter().map(|field| Conflict {
                manager: owner.manager.clone(),
                operation: owner.operation.name().to_owned(),
                api_version: owner.api_version.clone(),
                subresource: owner.subresource.clone(),
                field,
            })
        });
        conflicts.collect()
    }

    /// Joins the oldest updaters, version by version, until few enough are left.
    pub(crate) fn cap(&mut self) {
        let mut updaters: Vec<usize> = (0..self.0.len())
            .filter(|&at| self.0[at].operation == Operation::Update)
            .collect();
        let mut excess = updaters.len().saturating_sub(MAX_UPDATERS);
        updaters.sort_by_key(|&at| (&self.0[at].time, &self.0[at].manager));
        // The first of each version, into which the next of that version goes.
        let mut buckets: Vec<usize> = Vec::new();
        for at in updaters {
            if excess == 0 {
                break;
            }
            let version = &self.0[at].api_version;
            match buckets.iter().find(|&&b| self.0[b].api_version == *version) {
                None => buckets.push(at),
                Some(&bucket) => {
                    let fields = std::mem::take(&mut self.0[at].fields);
                    let time = self.0[at].time.clone();
                    let joined = &mut self.0[bucket];
                    joined.fields.extend(fields);
                    joined.time = time;
                    joined.manager = ANCIENT.to_owned();
                    joined.subresource = String::new();
                    excess -= 1;
                }
            }
        }
        self.drop_empty();
    }

    /// Entries in Kubernetes' order: operation, time, manager, version, subresource.
    pub(crate) fn encode(mut self) -> Value {
        self.0.sort_by(|a, b| a.rank().cmp(&b.rank()));
        Value::Array(self.0.into_iter().map(Owner::encode).collect())
    }
}
