use super::*;
use kube::api::{ApiResource, GroupVersionKind};

fn resource(kind: &str) -> Arc<Resource> {
    let gvk = GroupVersionKind::gvk("", "v1", kind);
    Arc::new(Resource::new(ApiResource::from_gvk(&gvk), true))
}

fn object(namespace: &str, name: &str, life: Life, owners: &[&str]) -> Object {
    let owners = owners.iter().map(|name| Owner {
        uid: (*name).into(),
        group: "".into(),
        kind: "Thing".into(),
        name: (*name).into(),
        is_waited_for: true,
    });
    Object {
        resource: resource("Thing"),
        namespace: namespace.into(),
        name: name.into(),
        owners: owners.collect(),
        life,
    }
}

fn put(graph: &mut Graph, name: &str, life: Life, owners: &[&str]) -> Vec<String> {
    names(graph.put(name.into(), object("d", name, life, owners)))
}

fn names(uids: Vec<Uid>) -> Vec<String> {
    let mut names: Vec<String> = uids.iter().map(|uid| uid.to_string()).collect();
    names.sort();
    names
}

#[test]
fn dependents_are_looked_at_when_their_owner_is_gone() {
    let mut graph = Graph::default();
    put(&mut graph, "owner", Life::Alive, &[]);
    assert!(put(&mut graph, "a", Life::Alive, &["owner"]).is_empty());
    put(&mut graph, "b", Life::Alive, &["owner"]);
    assert_eq!(names(graph.remove("owner").1), ["a", "b"]);
}

#[test]
fn object_whose_owner_is_not_known_is_looked_at() {
    let mut graph = Graph::default();
    assert_eq!(put(&mut graph, "a", Life::Alive, &["nobody"]), ["a"]);
    // Once; a change of something else is no reason.
    assert!(put(&mut graph, "a", Life::Alive, &["nobody"]).is_empty());
}

#[test]
fn objects_are_lost_whose_owner_of_a_listed_kind_is_not_there() {
    let mut graph = Graph::default();
    put(&mut graph, "owner", Life::Alive, &[]);
    put(&mut graph, "owned", Life::Alive, &["owner"]);
    put(&mut graph, "lost", Life::Alive, &["nobody"]);
    assert_eq!(names(graph.without_owner(&resource("Thing"))), ["lost"]);
    assert!(graph.without_owner(&resource("Other")).is_empty());
}

#[test]
fn owner_in_another_namespace_is_no_owner() {
    let mut graph = Graph::default();
    graph.put(
        "owner".into(),
        object("elsewhere", "owner", Life::Alive, &[]),
    );
    assert_eq!(put(&mut graph, "a", Life::Alive, &["owner"]), ["a"]);
}

#[test]
fn cluster_scoped_owner_owns_in_every_namespace() {
    let mut graph = Graph::default();
    graph.put("owner".into(), object("", "owner", Life::Alive, &[]));
    assert!(put(&mut graph, "a", Life::Alive, &["owner"]).is_empty());
}

#[test]
fn foreground_owner_and_its_dependents_are_looked_at() {
    let mut graph = Graph::default();
    put(&mut graph, "owner", Life::Alive, &[]);
    put(&mut graph, "a", Life::Alive, &["owner"]);
    let woken = put(&mut graph, "owner", Life::EndingAfterDependents, &[]);
    assert_eq!(woken, ["a", "owner"]);
    assert_eq!(graph.waited_for("owner").count(), 1);
}

#[test]
fn foreground_owner_is_looked_at_when_a_dependent_goes() {
    let mut graph = Graph::default();
    put(&mut graph, "owner", Life::EndingAfterDependents, &[]);
    put(&mut graph, "a", Life::Alive, &["owner"]);
    assert_eq!(names(graph.remove("a").1), ["owner"]);
    assert_eq!(graph.waited_for("owner").count(), 0);
}

#[test]
fn foreground_owner_is_looked_at_when_a_dependent_is_no_longer_its_own() {
    let mut graph = Graph::default();
    put(&mut graph, "owner", Life::EndingAfterDependents, &[]);
    put(&mut graph, "a", Life::Alive, &["owner"]);
    assert_eq!(put(&mut graph, "a", Life::Alive, &[]), ["owner"]);
}

#[test]
fn plain_deletion_wakes_nobody_until_the_object_is_gone() {
    let mut graph = Graph::default();
    put(&mut graph, "owner", Life::Alive, &[]);
    put(&mut graph, "a", Life::Alive, &["owner"]);
    assert!(put(&mut graph, "owner", Life::Ending, &[]).is_empty());
}

#[test]
fn objects_that_a_new_list_lacks_are_found() {
    let mut graph = Graph::default();
    put(&mut graph, "a", Life::Alive, &[]);
    put(&mut graph, "b", Life::Alive, &[]);
    let listed = HashSet::from(["a".into()]);
    assert_eq!(names(graph.unlisted(&resource("Thing"), &listed)), ["b"]);
    assert!(graph.unlisted(&resource("Other"), &listed).is_empty());
}
