//! What form of an answer the client asked for.

use apimachinery::Status;
use http::{HeaderMap, header};
use schema::protobuf;

use crate::query::Query;
use crate::served::Served;

/// The form an object or list is answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub shape: Shape,
    pub encoding: Encoding,
    pub pretty: bool,
    /// What the client takes instead where there is no protobuf.
    otherwise: Option<(Shape, Encoding)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The object itself.
    Object,
    /// Rows for people (`kubectl get`).
    Table,
    /// Only `metadata`.
    Metadata,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Json,
    Yaml,
    Protobuf,
}

impl Form {
    pub const PLAIN: Self = Self {
        shape: Shape::Object,
        encoding: Encoding::Json,
        pretty: false,
        otherwise: None,
    };

    /// The first media type of `Accept` that the server can answer.
    pub fn of(headers: &HeaderMap, query: &Query) -> Result<Self, Status> {
        let accept = match headers.get(header::ACCEPT) {
            None => "",
            Some(value) => value.to_str().map_err(|_| Status::not_acceptable())?,
        };
        let mut otherwise = None;
        let (shape, encoding) = if accept.trim().is_empty() {
            (Shape::Object, Encoding::Json)
        } else {
            let mut taken = clauses(accept).into_iter().filter_map(read_clause);
            let first = taken.next().ok_or_else(Status::not_acceptable)?;
            if first.1 == Encoding::Protobuf {
                otherwise = taken.find(|(_, encoding)| *encoding != Encoding::Protobuf);
            }
            first
        };
        Ok(Self {
            shape,
            encoding,
            pretty: is_pretty(headers, query),
            otherwise,
        })
    }

    /// The form for objects of `kind`: not each has a protobuf one.
    ///
    /// # Errors
    /// 406 if the client takes nothing else.
    pub fn of_kind(self, kind: &Served) -> Result<Self, Status> {
        let has_protobuf = || match (self.shape, kind) {
            (Shape::Metadata, _) => true,
            (_, Served::Custom(_)) => false,
            (_, Served::BuiltIn(_)) => protobuf::is_written(&kind.api_version(), kind.kind()),
        };
        if self.encoding != Encoding::Protobuf || has_protobuf() {
            return Ok(self);
        }
        self.without_protobuf()
    }

    /// # Errors
    /// 406 if the client takes nothing else.
    pub fn without_protobuf(self) -> Result<Self, Status> {
        let (shape, encoding) = self.otherwise.ok_or_else(Status::not_acceptable)?;
        Ok(Self {
            shape,
            encoding,
            otherwise: None,
            ..self
        })
    }
}

/// The clauses of an Accept header, most wanted first.
fn clauses(accept: &str) -> Vec<&str> {
    let mut weighed: Vec<(f32, &str)> = accept
        .split(',')
        .map(|clause| (weight(clause), clause.trim()))
        .filter(|(weight, _)| *weight > 0.0)
        .collect();
    weighed.sort_by(|a, b| b.0.total_cmp(&a.0));
    weighed.into_iter().map(|(_, clause)| clause).collect()
}

fn weight(clause: &str) -> f32 {
    let given = clause
        .split(';')
        .find_map(|part| part.trim().strip_prefix("q="));
    given.and_then(|q| q.parse().ok()).unwrap_or(1.0)
}

fn read_clause(clause: &str) -> Option<(Shape, Encoding)> {
    let mut parts = clause.split(';').map(str::trim);
    let encoding = match parts.next()? {
        "application/json" | "application/*" | "*/*" => Encoding::Json,
        protobuf::MEDIA_TYPE => Encoding::Protobuf,
        "application/yaml" | "application/x-yaml" | "text/yaml" => Encoding::Yaml,
        _ => return None,
    };
    let mut shape = Shape::Object;
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        match (key, value) {
            // Rows have no protobuf form.
            ("as", "Table") if encoding == Encoding::Protobuf => return None,
            ("as", "Table") => shape = Shape::Table,
            ("as", "PartialObjectMetadata" | "PartialObjectMetadataList") => {
                shape = Shape::Metadata;
            }
            ("as", _) => return None,
            ("g", group) if group != "meta.k8s.io" => return None,
            // The older v1beta1 has the same fields under another version.
            ("v", version) if version != "v1" => return None,
            _ => {}
        }
    }
    Some((shape, encoding))
}

/// People at a terminal or browser get indented JSON, programs do not.
fn is_pretty(headers: &HeaderMap, query: &Query) -> bool {
    if query.get("pretty").is_some() {
        return query.flag("pretty");
    }
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok());
    agent.is_some_and(|a| {
        ["curl", "Wget", "Mozilla/5.0"]
            .iter()
            .any(|p| a.starts_with(p))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Result<Form, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        Form::of(&headers, &Query::default())
    }

    #[test]
    fn kubectl_gets_a_table_and_falls_back_to_json() {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        assert_eq!(form(accept).unwrap().shape, Shape::Table);
        let accept = "application/json;as=Table;v=v9;g=meta.k8s.io,application/json";
        assert_eq!(form(accept).unwrap().shape, Shape::Object);
    }

    #[test]
    fn protobuf_falls_back_to_what_else_is_taken() {
        let both = form("application/vnd.kubernetes.protobuf,application/json").unwrap();
        assert_eq!(both.encoding, Encoding::Protobuf);
        assert_eq!(both.without_protobuf().unwrap().encoding, Encoding::Json);
        let alone = form("application/vnd.kubernetes.protobuf").unwrap();
        assert_eq!(alone.without_protobuf().unwrap_err().code, 406);
        assert_eq!(form("text/foo").unwrap_err().code, 406);
    }

    #[test]
    fn metadata_comes_as_protobuf_and_tables_do_not() {
        let as_a = |what: &str| {
            format!(
                "application/vnd.kubernetes.protobuf;as={what};v=v1;g=meta.k8s.io,\
                 application/json;as={what};v=v1;g=meta.k8s.io,application/json"
            )
        };
        let metadata = form(&as_a("PartialObjectMetadataList")).unwrap();
        assert_eq!(
            (metadata.shape, metadata.encoding),
            (Shape::Metadata, Encoding::Protobuf)
        );
        let table = form(&as_a("Table")).unwrap();
        assert_eq!(
            (table.shape, table.encoding),
            (Shape::Table, Encoding::Json)
        );
    }

    #[test]
    fn kinds_without_a_protobuf_form_come_in_another() {
        let pods = Served::BuiltIn(kinds::find("", "v1", "pods").unwrap());
        let form = form("application/vnd.kubernetes.protobuf,application/yaml").unwrap();
        assert_eq!(form.of_kind(&pods).unwrap().encoding, Encoding::Protobuf);
        assert_eq!(form.without_protobuf().unwrap().encoding, Encoding::Yaml);
    }

    #[test]
    fn a_heavier_clause_wins_over_an_earlier_one() {
        let got = form("application/json;q=0.5, application/yaml").unwrap();
        assert_eq!(got.encoding, Encoding::Yaml);
    }
}
