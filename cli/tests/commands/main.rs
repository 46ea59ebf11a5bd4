//! The kubectl-like commands against a real API server in a temporary
//! directory. No node runs here: what needs one is tested in `tests/`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod snapshot;
mod world;

use world::{World, skiff};

const MANIFEST: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {app: x}}
data: {key: \"1\"}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {key: text}}
";

#[test]
fn what_is_applied_is_shown_in_every_form_and_deleted_again() {
    let world = World::new();
    let file = world.file("m.yaml", MANIFEST);
    assert_eq!(
        world.out(&["apply", "-f", &file]),
        "configmap/a serverside-applied\nconfigmap/b serverside-applied\n"
    );
    assert_eq!(
        world.out(&["get", "cm", "a", "b", "-o", "name"]),
        "configmap/a\nconfigmap/b\n"
    );
    let yaml = world.out(&["get", "cm", "a", "-o", "yaml"]);
    let begin =
        "apiVersion: v1\ndata:\n  key: \"1\"\nkind: ConfigMap\nmetadata:\n  creationTimestamp: \"";
    assert!(yaml.starts_with(begin), "{yaml}");
    let template = "-o=jsonpath={range .items[*]}{.metadata.name}={.data.key},{end}";
    assert_eq!(world.out(&["get", "cm", template]), "a=1,b=text,");
    let columns = "-o=custom-columns=N:.metadata.name,APP:.metadata.labels.app";
    assert_eq!(
        world.out(&["get", "cm", columns]),
        "N     APP\na     x\nb     <none>\n"
    );
    assert_eq!(
        world.out(&["delete", "-f", &file]),
        "configmap \"a\" deleted\nconfigmap \"b\" deleted\n"
    );
    let gone = world.run(&["get", "cm", "a"]);
    assert_eq!(
        gone.err,
        "Error from server (NotFound): configmaps \"a\" not found\n"
    );
    assert_eq!(gone.code, Some(1));
}

#[test]
fn found_objects_are_shown_also_where_others_are_missing() {
    let world = World::new();
    world.out(&["create", "configmap", "a", "--from-literal=k=v"]);
    let ran = world.run(&["get", "cm", "missing", "a", "--no-headers"]);
    assert!(ran.out.starts_with("a     1     "), "{ran:?}");
    assert_eq!(
        ran.err,
        "Error from server (NotFound): configmaps \"missing\" not found\n"
    );
    assert_eq!(ran.code, Some(1));
    let empty = world.run(&["get", "pods", "-n", "nowhere"]);
    assert_eq!(empty.err, "No resources found in nowhere namespace.\n");
    assert_eq!(empty.code, Some(0));
}

#[test]
fn deployment_is_created_scaled_exposed_given_an_image_and_restarted() {
    let world = World::new();
    let said = [
        world.out(&[
            "create",
            "deployment",
            "web",
            "--image=nginx:1",
            "--port=80",
        ]),
        world.out(&["scale", "deploy/web", "--replicas=3"]),
        world.out(&["expose", "deployment", "web", "--name=front"]),
        world.out(&["set", "image", "deploy/web", "nginx=nginx:2"]),
        world.out(&["rollout", "restart", "deploy/web"]),
        world.out(&["rollout", "pause", "deploy", "web"]),
    ];
    assert_eq!(
        said.concat(),
        "deployment.apps/web created\ndeployment.apps/web scaled\nservice/front exposed\n\
         deployment.apps/web image updated\ndeployment.apps/web restarted\ndeployment.apps/web paused\n"
    );
    let path =
        "-o=jsonpath={.spec.replicas} {.spec.template.spec.containers[*].image} {.spec.paused}";
    assert_eq!(world.out(&["get", "deploy", "web", path]), "3 nginx:2 true");
    let again = world.run(&["rollout", "pause", "deploy/web"]);
    assert_eq!(
        again.err,
        "error: deployments.apps \"web\" is already paused\n"
    );
    let described = world.out(&["describe", "deploy", "web"]);
    assert!(
        described.contains("\n   nginx:\n    Image:         nginx:2\n    Port:          80/TCP\n"),
        "{described}"
    );
}

#[test]
fn waiting_for_a_rollout_that_does_not_come_ends_at_its_time_limit() {
    let world = World::new();
    world.out(&["create", "deployment", "web", "--image=nginx:1"]);
    let ran = world.run(&["rollout", "status", "deploy/web", "--timeout=1s"]);
    assert_eq!(
        ran.out,
        "Waiting for deployment spec update to be observed...\n"
    );
    assert!(
        ran.err
            .starts_with("error: timed out waiting for the condition"),
        "{ran:?}"
    );
    assert_eq!(ran.code, Some(1));
}

#[test]
fn one_broken_object_does_not_keep_others_from_being_applied() {
    let world = World::new();
    let text = MANIFEST.replace(
        "metadata: {name: a, labels: {app: x}}",
        "metadata: {name: A_}",
    );
    let ran = world.run(&["apply", "-f", &world.file("m.yaml", &text)]);
    assert_eq!(ran.out, "configmap/b serverside-applied\n");
    assert!(
        ran.err
            .starts_with("The ConfigMap \"A_\" is invalid: metadata.name: "),
        "{ran:?}"
    );
    assert_eq!(ran.code, Some(1));
}

#[test]
fn field_that_somebody_else_set_is_a_conflict_with_advice() {
    let world = World::new();
    let file = world.file("m.yaml", MANIFEST);
    world.out(&["apply", "-f", &file, "--field-manager=other"]);
    let changed = world.file("n.yaml", &MANIFEST.replace("\"1\"", "\"2\""));
    let ran = world.run(&["apply", "-f", &changed]);
    assert!(
        ran.err.contains("conflict with \"other\": .data.key"),
        "{ran:?}"
    );
    assert!(ran.err.contains("--force-conflicts"), "{ran:?}");
    world.out(&["apply", "-f", &changed, "--force-conflicts"]);
    assert_eq!(
        world.out(&["get", "cm", "a", "-o=jsonpath={.data.key}"]),
        "2"
    );
}

#[test]
fn dry_run_shows_what_would_be_and_changes_nothing() {
    let world = World::new();
    let yaml = world.out(&[
        "run",
        "p",
        "--image=i",
        "--dry-run=client",
        "-o=yaml",
        "--",
        "a",
    ]);
    assert!(
        yaml.contains("  - args:\n    - a\n    image: i\n    name: p\n"),
        "{yaml}"
    );
    let said = world.out(&["create", "ns", "n", "--dry-run=server"]);
    assert_eq!(said, "namespace/n created (server dry run)\n");
    assert_eq!(world.run(&["get", "ns", "n"]).code, Some(1));
}

#[test]
fn mistaken_command_says_what_to_do() {
    let world = World::new();
    let says = |words: &[&str], part: &str| {
        let ran = world.run(words);
        assert!(ran.err.contains(part), "skiff {words:?}: {ran:?}");
        assert_ne!(ran.code, Some(0), "skiff {words:?}");
    };
    says(
        &["get", "nosuch"],
        "the server doesn't have a resource type \"nosuch\"; `skiff api-resources`",
    );
    says(
        &["get", "pods", "-l", "x in"],
        "Error from server (BadRequest): ",
    );
    says(
        &["get", "pods", "x", "-A"],
        "a resource cannot be retrieved by name across all namespaces",
    );
    says(&["delete", "pods"], "no name was specified");
    says(&["exec", "p", "ls"], "skiff exec p -- ls");
    says(&["logs", "nosuch"], "pods \"nosuch\" not found");
    says(
        &["get", "pods", "--context=nosuch"],
        "has no context \"nosuch\"",
    );
    says(
        &["apply", "-f", "/nosuch"],
        "the path \"/nosuch\" does not exist",
    );
}

#[test]
fn cluster_that_is_not_there_is_told_from_a_kubeconfig_that_is_not() {
    let none = skiff(&["get", "pods"], "");
    assert!(
        none.err.contains("start a cluster with `skiff up`"),
        "{none:?}"
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    let stopped = r#"{"apiVersion":"v1","kind":"Config","current-context":"c",
        "contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{}}],
        "clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}]}"#;
    std::fs::write(&path, stopped).unwrap();
    let ran = skiff(&["get", "pods"], &path.display().to_string());
    assert!(ran.err.contains("http://127.0.0.1:1"), "{ran:?}");
    assert!(ran.err.contains("does the cluster run?"), "{ran:?}");
    assert_eq!(ran.code, Some(1));
}
