//! Which kinds are served where. Built-in ones are there for good; custom ones come
//! and go as a whole set.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use kinds::Kind;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::served::Served;

/// The served kinds by group, version and plural.
pub struct Resources {
    built_in: Vec<Served>,
    table: RwLock<Arc<Table>>,
    changed: Notify,
}

/// The served kinds at one moment.
pub struct Table {
    groups: HashMap<String, Versions>,
    all: Vec<Served>,
}

type Versions = HashMap<String, HashMap<String, Served>>;

impl Table {
    fn new(all: Vec<Served>) -> Self {
        let mut groups: HashMap<String, Versions> = HashMap::new();
        for kind in &all {
            let group = groups.entry(kind.group().to_owned()).or_default();
            let version = group.entry(kind.version().to_owned()).or_default();
            version.insert(kind.plural().to_owned(), kind.clone());
        }
        Self { groups, all }
    }

    /// In the order discovery lists them.
    pub fn all(&self) -> &[Served] {
        &self.all
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Served> {
        self.groups.get(group)?.get(version)?.get(plural)
    }

    /// Any version of the kind of that name.
    #[expect(dead_code, reason = "custom resources come next")]
    pub fn find_kind(&self, group: &str, kind: &str) -> Option<&Served> {
        let mut all = self.all.iter();
        all.find(|served| served.group() == group && served.kind() == kind)
    }
}

impl Resources {
    pub fn new(kinds: &[&'static Kind]) -> Self {
        let built_in: Vec<Served> = kinds.iter().map(|kind| Served::BuiltIn(kind)).collect();
        Self {
            table: RwLock::new(Arc::new(Table::new(built_in.clone()))),
            built_in,
            changed: Notify::new(),
        }
    }

    /// Serves these custom kinds from now on, and no others. A built-in version is
    /// nobody else's to define.
    pub fn set_custom(&self, custom: impl IntoIterator<Item = Served>) {
        let is_own = |kind: &Served| {
            let same =
                |own: &&Served| own.group() == kind.group() && own.version() == kind.version();
            self.built_in.iter().find(same).is_some()
        };
        let custom = custom.into_iter().filter(|kind| !is_own(kind));
        let all = self.built_in.iter().cloned().chain(custom).collect();
        let table = Arc::new(Table::new(all));
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        self.changed.notify_waiters();
    }

    /// Ends at the next change after it was asked for.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub fn table(&self) -> Arc<Table> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.clone()
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Served> {
        self.table().find(group, version, plural).cloned()
    }

    pub fn has_group(&self, group: &str) -> bool {
        self.table().groups.contains_key(group)
    }
}

/// Something made of the served kinds, made again when they change.
pub struct PerTable<T> {
    made: RwLock<Option<(Arc<Table>, Arc<T>)>>,
}

impl<T> Default for PerTable<T> {
    fn default() -> Self {
        Self {
            made: RwLock::default(),
        }
    }
}

impl<T> PerTable<T> {
    pub fn get(&self, table: Arc<Table>, make: impl FnOnce(&Table) -> T) -> Arc<T> {
        if let Some((of, made)) = &*self.made.read().unwrap_or_else(PoisonError::into_inner)
            && Arc::ptr_eq(of, &table)
        {
            return made.clone();
        }
        let made = Arc::new(make(&table));
        let kept = Some((table, made.clone()));
        *self.made.write().unwrap_or_else(PoisonError::into_inner) = kept;
        made
    }
}
