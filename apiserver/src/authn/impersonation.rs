//! Acting as somebody else, by `Impersonate-*` headers, for who may.

use std::sync::Arc;

use apimachinery::Status;
use http::HeaderMap;

use crate::authz::{Action, Attributes, Authorizer};
use crate::route::decode;
use crate::user::{
    ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNT_PREFIX, UNAUTHENTICATED, User, service_account_groups,
};

const EXTRA: &str = "impersonate-extra-";

/// The user a request is to be made as: the authenticated one, or another that
/// it asks for.
///
/// # Errors
/// 403 when that is not allowed, 500 when headers ask for groups without a user.
pub async fn resolve(
    authorizer: &Authorizer,
    user: Arc<User>,
    headers: &HeaderMap,
) -> Result<Arc<User>, Status> {
    let Some(name) = header(headers, "impersonate-user") else {
        let asks = headers
            .keys()
            .any(|k| k.as_str().starts_with("impersonate-"));
        if asks {
            return Err(Status::internal(
                "requested groups or extra without impersonating a user",
            ));
        }
        return Ok(user);
    };
    let user = &*user;
    let check =
        async |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
            let target = Action::Resource {
                group,
                resource,
                subresource,
                namespace,
                name,
            };
            authorizer
                .check(user, &Attributes::new("impersonate", target))
                .await
        };
    let mut wanted = User {
        name: name.clone(),
        ..User::default()
    };
    match name
        .strip_prefix(SERVICE_ACCOUNT_PREFIX)
        .and_then(|n| n.split_once(':'))
    {
        Some((namespace, account)) => check("", "serviceaccounts", "", namespace, account).await?,
        None => check("", "users", "", "", &name).await?,
    }
    for group in headers
        .get_all("impersonate-group")
        .iter()
        .filter_map(|v| v.to_str().ok())
    {
        check("", "groups", "", "", group).await?;
        wanted.groups.push(group.to_owned());
    }
    if let Some(uid) = header(headers, "impersonate-uid") {
        check("authentication.k8s.io", "uids", "", "", &uid).await?;
        wanted.uid = uid;
    }
    for (key, value) in headers {
        let Some(key) = key.as_str().strip_prefix(EXTRA) else {
            continue;
        };
        let (key, value) = (decode(key), value.to_str().unwrap_or("").to_owned());
        check("authentication.k8s.io", "userextras", &key, "", &value).await?;
        wanted.extra.entry(key).or_default().push(value);
    }
    add_implied_groups(&mut wanted);
    Ok(Arc::new(wanted))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    (!value.is_empty()).then(|| value.to_owned())
}

fn add_implied_groups(user: &mut User) {
    if user.groups.is_empty()
        && let Some((namespace, _)) = user.as_service_account()
    {
        user.groups = service_account_groups(namespace).to_vec();
        return;
    }
    let implied = if user.name == ANONYMOUS {
        UNAUTHENTICATED
    } else {
        AUTHENTICATED
    };
    if !user.is_in(AUTHENTICATED) && !user.is_in(UNAUTHENTICATED) {
        user.groups.push(implied.to_owned());
    }
}
