//! LIST: pages of stored bytes, put one behind the other.

use apimachinery::Status;
use apimachinery::field::{Error as FieldError, Path};
use store::{Entry, Page, Range, Revision};

use super::get::parse_revision;
use super::select::Selector;
use super::{Registry, continue_token, store_failure};
use crate::keys;
use crate::query::Query;

/// With a selector a page is looked for in steps of this many entries at least.
const STEP_MIN: usize = 500;

/// What a list asks for.
pub struct ListOptions {
    pub selector: Selector,
    pub limit: Option<usize>,
    /// Read at this revision; None is the newest.
    pub at: Option<Revision>,
    /// The last key of the page before.
    pub after: Option<String>,
}

/// One page.
pub struct Listed {
    pub entries: Vec<Entry>,
    pub revision: Revision,
    pub continue_token: String,
    pub remaining: Option<u64>,
}

impl Registry<'_> {
    pub async fn read_list_options(&self) -> Result<ListOptions, Status> {
        let query = &self.call.query;
        let selector = Selector::read(self.kind, query)?;
        let limit = read_number(query, "limit")?.filter(|n| *n > 0);
        let limit = limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        check_match(query)?;
        let wanted = query
            .text("resourceVersion")
            .map(parse_revision)
            .transpose()?;
        if let Some(token) = query.text("continue") {
            if wanted.is_some_and(|rv| rv > 0) {
                return Err(Status::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            let (revision, last) = continue_token::decode(token)?;
            return Ok(ListOptions {
                selector,
                limit,
                at: revision,
                after: Some(last),
            });
        }
        let exact = query.get("resourceVersionMatch") == Some("Exact")
            || limit.is_some() && query.text("resourceVersionMatch").is_none();
        if let Some(wanted) = wanted {
            self.check_reached(wanted).await?;
        }
        let at = wanted.filter(|rv| *rv > 0 && exact).map(Revision);
        Ok(ListOptions {
            selector,
            limit,
            at,
            after: None,
        })
    }

    pub async fn list(&self, options: &ListOptions) -> Result<Listed, Status> {
        let namespace = self.namespace.or_else(|| {
            options
                .selector
                .namespace()
                .filter(|_| self.kind.is_namespaced())
        });
        let prefix = keys::collection(self.prefix, namespace);
        if let Some(name) = options
            .selector
            .name()
            .filter(|_| namespace.is_some() || !self.kind.is_namespaced())
        {
            return self.list_one(namespace, name, options).await;
        }
        let mut range = Range::prefix(&prefix);
        range.at = options.at;
        if let Some(last) = &options.after {
            let after = [
                keys::collection(self.prefix, self.namespace).as_slice(),
                last.as_bytes(),
            ]
            .concat();
            range = range.after(after);
        }
        if options.selector.is_everything() {
            range.limit = options.limit;
            let page = self.range(range, options).await?;
            return Ok(self.listed(page.entries, page.revision, page.more, Some(page.remaining)));
        }
        self.list_selected(range, options).await
    }

    async fn list_one(
        &self,
        namespace: Option<&str>,
        name: &str,
        options: &ListOptions,
    ) -> Result<Listed, Status> {
        let key = keys::object(self.prefix, namespace, name);
        let mut range = Range::prefix(&key);
        range.at = options.at;
        let page = self.range(range, options).await?;
        let entries = page.entries.into_iter();
        let entries = entries
            .filter(|e| e.key == key && options.selector.matches(&e.value))
            .collect();
        Ok(self.listed(entries, page.revision, false, None))
    }

    async fn list_selected(
        &self,
        mut range: Range,
        options: &ListOptions,
    ) -> Result<Listed, Status> {
        let limit = options.limit.unwrap_or(usize::MAX);
        range.limit = options.limit.map(|n| n.max(STEP_MIN));
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let page = self.range(range.clone(), options).await?;
            let last = page.entries.last().map(|e| e.key.clone());
            for entry in page.entries {
                if !options.selector.matches(&entry.value) {
                    continue;
                }
                if found.len() == limit {
                    return Ok(self.listed(found, page.revision, true, None));
                }
                found.push(entry);
            }
            match last.filter(|_| page.more) {
                Some(last) => range = range.after(last).at(page.revision),
                None => return Ok(self.listed(found, page.revision, false, None)),
            }
        }
    }

    async fn range(&self, range: Range, options: &ListOptions) -> Result<Page, Status> {
        let page = self.api.store.range(range).await;
        let mut page = page.map_err(|error| match (error, &options.after) {
            (store::Error::Compacted { .. }, Some(last)) => pages_expired(last),
            (error, _) => store_failure(error),
        })?;
        if self.kind.is_custom() {
            page.entries = self.api.all_as_served(self.kind, page.entries).await?;
        }
        Ok(page)
    }

    fn listed(
        &self,
        entries: Vec<Entry>,
        revision: Revision,
        more: bool,
        remaining: Option<u64>,
    ) -> Listed {
        let skip = keys::collection(self.prefix, self.namespace).len();
        let last = entries
            .last()
            .map(|e| String::from_utf8_lossy(&e.key[skip..]).into_owned());
        let token = last
            .filter(|_| more)
            .map(|last| continue_token::encode(Some(revision), &last));
        Listed {
            entries,
            revision,
            continue_token: token.unwrap_or_default(),
            remaining: remaining.filter(|_| more),
        }
    }
}

impl Listed {
    /// The `metadata` of the list, as JSON.
    pub fn metadata(&self) -> serde_json::Value {
        let mut metadata = serde_json::json!({ "resourceVersion": self.revision.to_string() });
        if !self.continue_token.is_empty() {
            metadata["continue"] = self.continue_token.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata
    }
}

/// The revision of the pages before is forgotten. The client may begin anew, or go
/// on in what is there now, by the token that the answer has.
fn pages_expired(last: &str) -> Status {
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    status.metadata.continue_token = continue_token::encode(None, last);
    status
}

/// # Errors
/// 400 in the words of Go's parser.
pub fn read_number(query: &Query, name: &str) -> Result<Option<i64>, Status> {
    let Some(text) = query.text(name) else {
        return Ok(None);
    };
    let number = text.parse().map_err(|_| {
        Status::bad_request(format!(
            "strconv.ParseInt: parsing {text:?}: invalid syntax"
        ))
    })?;
    Ok(Some(number))
}

fn check_match(query: &Query) -> Result<(), Status> {
    let Some(value) = query.text("resourceVersionMatch") else {
        return Ok(());
    };
    let path = Path::new("resourceVersionMatch");
    let forbid = |why: &str| vec![FieldError::forbidden(&path, why)];
    let errors = match (value, query.text("resourceVersion")) {
        _ if query.flag("sendInitialEvents") => Vec::new(),
        (_, None) => forbid("resourceVersionMatch is forbidden unless resourceVersion is provided"),
        _ if query.text("continue").is_some() => {
            forbid("resourceVersionMatch is forbidden when continue is provided")
        }
        ("Exact", Some("0")) => {
            forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
        }
        ("Exact" | "NotOlderThan", _) => Vec::new(),
        (other, _) => vec![FieldError::not_supported(
            &path,
            other,
            &["Exact", "NotOlderThan", ""],
        )],
    };
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors))
}
