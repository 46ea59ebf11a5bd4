use super::*;

fn resource_of(method: Method, path: &str, query: &str) -> (Verb, Resource) {
    let route = Route::parse(&method, path, &Query::parse(query));
    match route.target {
        Target::Resource(resource) => (route.verb, resource),
        Target::Path => panic!("{path} is no resource"),
    }
}

fn name_of(resource: &Resource) -> Option<&str> {
    resource.selected.as_ref()?.name.as_deref()
}

#[test]
fn a_named_object_in_a_namespace_is_got() {
    let (verb, r) = resource_of(Method::GET, "/api/v1/namespaces/g/pods/p1", "");
    assert_eq!(verb, Verb::Get);
    assert_eq!((r.group.as_str(), r.version.as_str()), ("", "v1"));
    assert_eq!(r.namespace.as_deref(), Some("g"));
    assert_eq!(
        (r.resource.as_str(), r.name.as_deref()),
        ("pods", Some("p1"))
    );
}

#[test]
fn a_namespace_is_its_own_namespace() {
    let (verb, r) = resource_of(Method::DELETE, "/api/v1/namespaces/g", "");
    assert_eq!(verb, Verb::Delete);
    assert_eq!(r.namespace, r.name);
    assert_eq!(r.resource, "namespaces");
}

#[test]
fn finalize_belongs_to_the_namespace_and_pods_do_not() {
    let (_, r) = resource_of(Method::PUT, "/api/v1/namespaces/g/finalize", "");
    assert_eq!(r.subresource.as_deref(), Some("finalize"));
    let (verb, r) = resource_of(Method::DELETE, "/api/v1/namespaces/g/pods", "");
    assert_eq!(
        (verb, r.resource.as_str()),
        (Verb::DeleteCollection, "pods")
    );
}

#[test]
fn a_watch_is_told_from_a_list_by_its_query() {
    let (verb, _) = resource_of(Method::GET, "/apis/apps/v1/deployments", "watch=true");
    assert_eq!(verb, Verb::Watch);
    let (verb, _) = resource_of(Method::GET, "/apis/apps/v1/deployments", "watch=false");
    assert_eq!(verb, Verb::List);
    let (verb, r) = resource_of(Method::GET, "/api/v1/watch/namespaces/g/pods", "");
    assert_eq!((verb, r.resource.as_str()), (Verb::Watch, "pods"));
}

#[test]
fn a_proxied_path_is_kept_whole() {
    let (_, r) = resource_of(
        Method::GET,
        "/api/v1/namespaces/g/services/s:80/proxy/a/b",
        "",
    );
    assert_eq!(r.subresource.as_deref(), Some("proxy"));
    assert_eq!(r.rest.as_deref(), Some("a/b"));
}

#[test]
fn percent_signs_are_undone_and_bad_ones_stay() {
    assert_eq!(decode("system%3Anode"), "system:node");
    assert_eq!(decode("100%"), "100%");
    assert_eq!(decode_query("a+in+%28b%29"), "a in (b)");
}

#[test]
fn what_is_no_resource_is_a_path() {
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/apis/apps/v1",
        "/healthz",
        "/openapi/v3/api/v1",
    ] {
        assert_eq!(
            Route::parse(&Method::GET, path, &Query::default()).target,
            Target::Path,
            "{path}"
        );
    }
}

#[test]
fn a_field_selector_of_one_name_is_that_name() {
    let query = "fieldSelector=metadata.name%3Dcm1&watch=1";
    let (verb, r) = resource_of(Method::GET, "/api/v1/namespaces/g/configmaps", query);
    assert_eq!((verb, r.name.as_deref()), (Verb::Watch, None));
    assert_eq!(name_of(&r), Some("cm1"));
    let (_, r) = resource_of(
        Method::GET,
        "/api/v1/pods",
        "fieldSelector=metadata.name!%3Dcm1",
    );
    assert_eq!(name_of(&r), None);
}

#[test]
fn a_query_means_to_the_authorizer_what_it_means_to_the_answer() {
    for query in [
        "field%53elector=&fieldSelector=metadata.name%3Dcm1",
        "fieldSelector&fieldSelector=metadata.name%3Dcm1",
        "fieldSelector=a%3Db%5C,metadata.name%3Dcm1",
    ] {
        let (_, r) = resource_of(Method::GET, "/api/v1/secrets", query);
        assert_eq!(name_of(&r), None, "{query}");
    }
    let (verb, _) = resource_of(Method::GET, "/api/v1/secrets", "w%61tch=1");
    assert_eq!(verb, Verb::Watch);
}

#[test]
fn only_reading_is_allowed_by_the_name_that_a_selector_leaves() {
    let query = "fieldSelector=metadata.name%3Dcm1";
    for method in [Method::POST, Method::DELETE] {
        let (_, r) = resource_of(method, "/api/v1/namespaces/g/configmaps", query);
        assert_eq!(name_of(&r), None);
    }
}
