//! `authorizer.group("apps").resource("deployments").check("get").allowed()`.

use std::fmt;
use std::sync::Arc;

use cel::common::types::{STRING_TYPE, Type};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError};

use super::args::{Args, Outcome, arg, failure, member, of_bool, of_text, text};
use super::kinds::{self, named, opaque};
use crate::authorizer::{Authorizer, Check, Decision};
use crate::meter::charge;

/// What one question costs: Kubernetes allows about three an expression.
const CHECK_COST: u64 = 350_000;

/// Whose rights are asked for.
#[derive(Clone)]
pub struct AuthorizerVal {
    authorizer: Arc<dyn Authorizer>,
    /// Another than who made the request: namespace and name of a service account.
    account: Option<(String, String)>,
}

impl AuthorizerVal {
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self {
            authorizer,
            account: None,
        }
    }

    fn ask(&self, check: &Check) -> Decision {
        match &self.account {
            None => self.authorizer.check(check),
            Some((namespace, name)) => self
                .authorizer
                .check_service_account(namespace, name, check),
        }
    }
}

impl fmt::Debug for AuthorizerVal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("authorizer")
    }
}

#[derive(Clone, Debug)]
struct PathCheck(ResourceCheck);

#[derive(Clone, Debug)]
struct GroupCheck(ResourceCheck);

/// A question that still lacks its verb.
#[derive(Clone, Debug)]
pub struct ResourceCheck {
    authorizer: AuthorizerVal,
    check: Check,
}

impl ResourceCheck {
    pub fn new(authorizer: Arc<dyn Authorizer>, check: Check) -> Self {
        Self {
            authorizer: AuthorizerVal::new(authorizer),
            check,
        }
    }
}

#[derive(Clone, Debug)]
struct Answer(Decision);

opaque!(AuthorizerVal, kinds::AUTHORIZER, |_, _| false);
opaque!(PathCheck, kinds::PATH_CHECK, |_, _| false);
opaque!(GroupCheck, kinds::GROUP_CHECK, |_, _| false);
opaque!(ResourceCheck, kinds::RESOURCE_CHECK, |_, _| false);
opaque!(Answer, kinds::DECISION, |_, _| false);

const AUTHORIZER: Type = named(kinds::AUTHORIZER);
const PATH: Type = named(kinds::PATH_CHECK);
const GROUP: Type = named(kinds::GROUP_CHECK);
const RESOURCE: Type = named(kinds::RESOURCE_CHECK);
const DECISION: Type = named(kinds::DECISION);

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    member(env, "path", AUTHORIZER, vec![STRING_TYPE], |args| {
        let question = about(&args, |check, path| check.path = Some(path))?;
        Ok(CowVal::owned(PathCheck(question)))
    })?;
    member(env, "group", AUTHORIZER, vec![STRING_TYPE], |args| {
        Ok(CowVal::owned(GroupCheck(about(&args, |check, group| {
            check.group = group
        })?)))
    })?;
    let two = vec![STRING_TYPE, STRING_TYPE];
    member(env, "serviceAccount", AUTHORIZER, two, service_account)?;
    member(env, "resource", GROUP, vec![STRING_TYPE], |args| {
        let mut question = arg::<GroupCheck>(&args, 0)?.0.clone();
        text(&args, 1)?.clone_into(&mut question.check.resource);
        Ok(CowVal::owned(question))
    })?;
    macro_rules! part {
        ($name:literal, $field:ident) => {
            member(env, $name, RESOURCE, vec![STRING_TYPE], |args| {
                let mut question = arg::<ResourceCheck>(&args, 0)?.clone();
                text(&args, 1)?.clone_into(&mut question.check.$field);
                Ok(CowVal::owned(question))
            })?;
        };
    }
    part!("subresource", subresource);
    part!("namespace", namespace);
    part!("name", name);
    part!("fieldSelector", field_selector);
    part!("labelSelector", label_selector);
    member(env, "check", RESOURCE, vec![STRING_TYPE], |args| {
        ask(arg::<ResourceCheck>(&args, 0)?, &args)
    })?;
    member(env, "check", PATH, vec![STRING_TYPE], |args| {
        ask(&arg::<PathCheck>(&args, 0)?.0, &args)
    })?;
    answers(env)
}

fn answers(env: &mut Env) -> Result<(), DeclarationError> {
    member(env, "allowed", DECISION, vec![], |args| {
        of_bool(answer(&args)?.allowed)
    })?;
    member(env, "reason", DECISION, vec![], |args| {
        of_text(answer(&args)?.reason.as_str())
    })?;
    member(env, "errored", DECISION, vec![], |args| {
        of_bool(answer(&args)?.error.is_some())
    })?;
    member(env, "error", DECISION, vec![], |args| {
        of_text(answer(&args)?.error.clone().unwrap_or_default())
    })
}

fn answer<'a>(args: &'a Args<'_, '_>) -> Result<&'a Decision, ExecutionError> {
    arg::<Answer>(args, 0).map(|answer| &answer.0)
}

fn about(
    args: &Args<'_, '_>,
    set: fn(&mut Check, String),
) -> Result<ResourceCheck, ExecutionError> {
    let mut check = Check::default();
    set(&mut check, text(args, 1)?.to_owned());
    Ok(ResourceCheck {
        authorizer: arg::<AuthorizerVal>(args, 0)?.clone(),
        check,
    })
}

fn service_account<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let (namespace, name) = (text(&args, 1)?, text(&args, 2)?);
    let fine = apimachinery::names::dns_label(namespace).is_empty()
        && apimachinery::names::dns_subdomain(name).is_empty();
    if !fine {
        return Err(failure(
            "serviceAccount",
            "Invalid service account name or namespace",
        ));
    }
    let mut authorizer = arg::<AuthorizerVal>(&args, 0)?.clone();
    authorizer.account = Some((namespace.to_owned(), name.to_owned()));
    Ok(CowVal::owned(authorizer))
}

fn ask<'b, 'v>(question: &ResourceCheck, args: &Args<'_, '_>) -> Outcome<'b, 'v> {
    charge(CHECK_COST)?;
    let mut check = question.check.clone();
    text(args, 1)?.clone_into(&mut check.verb);
    Ok(CowVal::owned(Answer(question.authorizer.ask(&check))))
}
